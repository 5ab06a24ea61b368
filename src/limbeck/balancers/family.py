"""The contract of every balancer: many losses in, one loss and their weights out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

FEATURE, OUTPUT = "feature", "output"


class Balanced(NamedTuple):
    """The one loss to minimise, and the weight that each term had in it."""

    total: Float[Tensor, ""]
    weights: Float[Tensor, "L"]


class TapNorms(NamedTuple):
    """Gradients measured at the student's tap of each feature term; NaN for output terms.

    Attributes:
        feature: length of the feature term's own gradient there.
        output: length of the output terms' summed gradient there.
        cosine: cosine of the angle between the two.
    """

    feature: Float[Tensor, "L"]
    output: Float[Tensor, "L"]
    cosine: Float[Tensor, "L"]


class Balancer(nn.Module, ABC):
    """Weighs ``L`` losses, of which each belongs to the group ``feature`` or ``output``.

    Attributes:
        measure_every: every how many steps it wants :class:`TapNorms`; 0 for never.
        needs_non_negative: whether it takes logarithms or ratios of the losses.
    """

    measure_every: ClassVar[int] = 0
    needs_non_negative: ClassVar[bool] = False

    def __init__(self, groups: Sequence[str], /, *, shares: Sequence[float] | None = None) -> None:
        """Remember which group each loss belongs to.

        Args:
            groups: ``feature`` or ``output`` for each loss.
            shares: what part of its group each loss is; 1 for each if not given, so that a group is a sum.
        """
        super().__init__()
        self.groups = tuple(groups)
        self.register_buffer("shares", torch.tensor(shares if shares is not None else [1.0] * len(self.groups)))

    def forward(self, losses: Float[Tensor, "L"], strength: Float[Tensor, "L"] | None = None, /) -> Balanced:
        """The weighted sum; ``strength`` is what the schedule says of each loss at this moment (1 if not given)."""
        weights = self.weigh(losses.detach()) * self.shares.to(losses.device)
        if strength is not None:
            weights = weights * strength
        weights = weights.detach().to(losses.dtype)
        # A loss of weight zero may be infinite or NaN by right: it must not reach the sum.
        return Balanced(torch.where(weights > 0, losses * weights, torch.zeros_like(losses)).sum(), weights)

    @abstractmethod
    def weigh(self, losses: Float[Tensor, "L"], /) -> Float[Tensor, "L"]:
        """The weight of each loss, its share and the schedule left out. Must not move any state."""

    def step(self, losses: Float[Tensor, "L"], norms: TapNorms | None = None, /) -> None:  # noqa: B027
        """Move the state on, once after each optimizer step. The only place where it moves."""

    def reset(self) -> None:  # noqa: B027 - a balancer may have no state
        """Forget everything learnt from losses."""

    def select(self, group: str) -> Float[Tensor, "L"]:
        """1 for each loss of the group, 0 for the others."""
        return torch.tensor([float(each == group) for each in self.groups], device=self.shares.device)

    def __repr__(self) -> str:
        """Name and options."""
        return f"{type(self).__name__}({self.extra_repr()})"
