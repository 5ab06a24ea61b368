"""A student that answers through the teacher's head, its projector kept."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.batch import Batch
from limbeck.capture.capture import Capture
from limbeck.distiller.folding import head_on_targets
from limbeck.distiller.term import Term
from limbeck.errors import ModelError, PlanMismatch
from limbeck.features import Feature


class Lifted(nn.Module):
    r"""A copy of a student up to a term's site, the term's projector, and the teacher's head.

    SimKD as published, "Knowledge Distillation with the Reused Teacher Classifier" (Chen et al., CVPR 2022),
    https://arxiv.org/abs/2203.14001: the projector lifts the student's feature to the teacher's width and stays in the
    deployed student,

    $$ z(x) = W_t \, T^{-1}\bigl(\operatorname{pool}(P(x))\bigr) + b_t $$

    with $P$ the projector and $T$ the targets, which are undone. Where $P$ is affine and the term joins what the two
    heads read, :func:`~limbeck.distiller.fold_head` gives the same as one layer of the student, at no cost.

    What the student's own forward does behind the site runs and is thrown away.

    Args:
        student: trained with the term; it is not changed.
        term: ends at what the teacher's head reads, or at the map whose mean that is.
        teacher_head: the teacher's last linear layer.

    Raises:
        PlanMismatch: if the head reads another number of channels than the teacher's site has, what the projector gives
            for a sample depends on the others, or a target cannot be undone.

    Example:
        >>> import torch
        >>> from limbeck.links import FeatureSpec, Link
        >>> from limbeck.losses import MSE
        >>> from limbeck.projectors import MLP
        >>> link = Link(FeatureSpec("0", "BC", 8), FeatureSpec("fc:input", "BC", 32))
        >>> term = Term(link, loss=MSE(), projector=MLP.for_link(link))
        >>> student, teacher_head = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)), nn.Linear(32, 10)
        >>> Lifted(student, term, teacher_head)(torch.randn(3, 4)).shape
        torch.Size([3, 10])
    """

    def __init__(self, student: nn.Module, term: Term, teacher_head: nn.Linear, /) -> None:
        super().__init__()
        if term.link.teacher.channels != teacher_head.in_features:
            raise PlanMismatch(
                f"The teacher's head must read what the term ends at. Found a head of {teacher_head.in_features} "
                f"channels and {term.link.teacher.channels} at '{term.link.teacher.site}'. Give the head of the "
                "teacher that the term was trained on."
            )
        _require_sample_by_sample(term)
        self.student = copy.deepcopy(student)
        self.projector = copy.deepcopy(term.projector)
        self.head = head_on_targets(term, teacher_head).to(teacher_head.weight)
        self.site = term.link.student.site
        self._capture = Capture(self.student, [term.link.student])

    def forward(self, *inputs: Any, **named: Any) -> Float[Tensor, "B K"]:
        """The logits, for what the student's own forward takes.

        Raises:
            ModelError: if some inputs are named and some are not.
        """
        if bool(inputs) == bool(named):
            raise ModelError(
                f"A lifted student takes its inputs by place or by name. Found {len(inputs)} by place and "
                f"{sorted(named)} by name. Give all of them in one way."
            )
        batch = Batch(named or (inputs[0] if len(inputs) == 1 else inputs))
        feature = self._capture(batch.inputs, batch.mask).features[self.site]
        projected = feature if self.projector is None else self.projector(feature)
        return self.head(projected.pooled().to(self.head.weight.dtype))


@torch.no_grad()
def _require_sample_by_sample(term: Term) -> None:
    if term.projector is None:
        return
    spec, projector = term.link.student, copy.deepcopy(term.projector).cpu().float().eval()
    x = torch.randn(4, spec.positions, spec.channels, generator=torch.Generator().manual_seed(0))
    together, alone = (projector(Feature(each, spec.grid, spec.prefix, None, spec.summary)).x for each in (x, x[:1]))
    if not torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-4):
        raise PlanMismatch(
            f"A projector that stays in the student must answer for each sample by itself. Found {projector!r}, which "
            "reads the whole batch. Train with ConvBottleneck, MLP, Orthogonal or Linear."
        )
