"""Losses that compare how two models attend stand where queries and keys are."""

from __future__ import annotations

from torch import Tensor, nn

import limbeck.losses
from limbeck.capture.address import Address
from limbeck.errors import PlanMismatch
from limbeck.planning.plan import Plan


def check_attention_sites(plan: Plan, student: nn.Module, teacher: nn.Module) -> None:
    """Refuse a loss that reads queries and keys at a site that cannot hold them.

    They come out of a projection that is two or three times as wide as what goes into it. The end of a block, which has
    other modules within, holds hidden states; of a module without weights nothing can be told, and it is believed.

    Raises:
        PlanMismatch: naming the site, and the loss that hidden states are enough for.
    """
    for term in plan.terms:
        if "attention" not in term.loss.resolve(limbeck.losses).requires:
            continue
        for side, model, site in (("student", student, term.student), ("teacher", teacher, term.teacher)):
            if not _may_hold_queries_and_keys(model, site):
                raise PlanMismatch(
                    f"{term.loss.kind} compares queries and keys, side by side as a fused projection gives them. Found "
                    f"something else at the {side}'s '{site}'. Name such projections of both models, as in "
                    "sites={'student': ['layers.0.qkv'], 'teacher': ['layers.1.qkv']}, or use MiniLMRelations, which "
                    "compares relations of hidden states."
                )


def _may_hold_queries_and_keys(model: nn.Module, site: str) -> bool:
    address = Address.parse(site)
    module = address.find(model)
    if address.reads_input or next(module.children(), None) is not None:
        return False
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        return True
    narrow, wide = sorted(weight.shape) if weight.ndim == 2 else (1, 1)
    return wide in {2 * narrow, 3 * narrow}
