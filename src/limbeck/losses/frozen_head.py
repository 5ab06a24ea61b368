"""The teacher's head, as losses read features through it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck._math.layers import linear
from limbeck.errors import PlanMismatch, TeacherError
from limbeck.links import FeatureSpec


class FrozenHead(nn.Module):
    """A copy of a linear layer's weights, in buffers: it is saved with the loss and never trained.

    Args:
        channels: what it reads.
        classes: what it gives.

    Raises:
        TeacherError: if it is used before :meth:`copy` or ``load_state_dict``.
    """

    weight: Tensor
    bias: Tensor
    known: Tensor

    def __init__(self, channels: int, classes: int, /) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(classes, channels))
        self.register_buffer("bias", torch.zeros(classes))
        self.register_buffer("known", torch.tensor(False))
        self._ready = False

    @torch.no_grad()
    def copy(self, head: nn.Linear, /) -> None:
        """Take the weights of the teacher's head."""
        self.weight.copy_(head.weight)
        if head.bias is not None:
            self.bias.copy_(head.bias)
        self.known.fill_(True)

    def forward(self, x: Float[Tensor, "*shape C"], /) -> Float[Tensor, "*shape K"]:
        """What the head answers, in the precision of ``x``."""
        self._require_known()
        return linear(x, self.weight, self.bias)

    def without_bias(self, x: Float[Tensor, "*shape C"], /) -> Float[Tensor, "*shape K"]:
        """What the head answers less what it always adds."""
        self._require_known()
        return linear(x, self.weight)

    def _require_known(self) -> None:
        # The buffer is asked until it first says yes, and not again: asking it waits for the device.
        self._ready = self._ready or bool(self.known)
        if not self._ready:
            raise TeacherError(
                "This loss reads features through the teacher's head. Found none. Build the loss with "
                "for_link(link, limbeck.context.Heads(student, teacher)), or load its state dict."
            )


def require_head(head: nn.Linear | None, loss: str, side: str) -> nn.Linear:
    """The head, if there is one.

    Raises:
        PlanMismatch: if there is none.
    """
    if head is None:
        raise PlanMismatch(
            f"{loss} reads features through the {side}'s last linear layer. Found none. Build it for a {side} that has "
            "one, or use a loss that needs no head (MSE, CKA)."
        )
    return head


def head_of(spec: FeatureSpec, head: nn.Linear | None, loss: str, side: str) -> nn.Linear:
    """The head, if it reads what this site gives.

    Raises:
        PlanMismatch: if there is no head, or it takes another number of channels.
    """
    head = require_head(head, loss, side)
    if head.in_features != spec.channels:
        raise PlanMismatch(
            f"{loss} reads features through the {side}'s last linear layer, which takes {head.in_features} channels. "
            f"Found {spec.channels} at '{spec.site}'. Link what the heads read (mapping: {{kind: HeadInput}}), or use "
            "a loss that needs no head (MSE, CKA)."
        )
    return head
