"""The contract of every balancer: many losses in, one loss and their weights out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.errors import RecipeError

FEATURE, OUTPUT = "feature", "output"


class Balanced(NamedTuple):
    """The one loss to minimise, and the weight that each term had in it."""

    total: Float[Tensor, ""]
    weights: Float[Tensor, " L"]


class TapNorms(NamedTuple):
    """Gradients measured at the student's tap of each feature term; NaN for output terms.

    Attributes:
        feature: length of the feature term's own gradient there.
        output: length of the output terms' summed gradient there.
        cosine: cosine of the angle between the two.
    """

    feature: Float[Tensor, " L"]
    output: Float[Tensor, " L"]
    cosine: Float[Tensor, " L"]


class Balancer(nn.Module, ABC):
    """Weighs ``L`` losses, of which each belongs to the group ``feature`` or ``output``.

    Attributes:
        measure_every: every how many steps it wants :class:`TapNorms`; 0 for never.
        needs_non_negative: whether it takes logarithms or ratios of the losses.
        may_leave_out: whether it may give a loss no weight at all.
        reads_losses: whether its weights or its state follow from the losses, so that each must be there in every step.
    """

    measure_every: ClassVar[int] = 0
    needs_non_negative: ClassVar[bool] = False
    may_leave_out: ClassVar[bool] = False
    reads_losses: ClassVar[bool] = True
    shares: Tensor
    features: Tensor

    def __init__(self, groups: Sequence[str], /, *, shares: Sequence[float] | None = None) -> None:
        """Remember which group each loss belongs to.

        Args:
            groups: ``feature`` or ``output`` for each loss.
            shares: what part of its group each loss is; 1 for each if not given, so that a group is a sum.

        Raises:
            RecipeError: if there is no loss, a group is not known, or the shares do not fit.
        """
        super().__init__()
        self.groups = tuple(groups)
        given = [1.0] * len(self.groups) if shares is None else [float(each) for each in shares]
        if not self.groups or set(self.groups) - {FEATURE, OUTPUT}:
            raise RecipeError(
                f"{type(self).__name__} needs '{FEATURE}' or '{OUTPUT}' for each loss. Found {list(self.groups)}."
            )
        if len(given) != len(self.groups) or not all(0 <= each < math.inf for each in given):
            raise RecipeError(
                f"{type(self).__name__} needs a share of at least 0 for each of its {len(self.groups)} losses. Found "
                f"{given}."
            )
        self.register_buffer("shares", torch.tensor(given))
        # Follows from the groups; a buffer, so that no step copies it to the device.
        self.register_buffer("features", torch.tensor([each == FEATURE for each in self.groups]), persistent=False)

    def forward(self, losses: Float[Tensor, " L"], strength: Float[Tensor, " L"] | None = None, /) -> Balanced:
        """The weighted sum; ``strength`` is what the schedule says of each loss at this moment (1 if not given)."""
        strength = torch.ones_like(losses) if strength is None else strength.to(losses)
        weights = self.weigh(losses.detach(), strength).to(losses) * self.shares.to(losses) * strength
        weights = weights.detach()
        # A loss of weight zero may be infinite or NaN by right: it must not reach the sum.
        return Balanced(torch.where(weights > 0, losses * weights, 0.0).sum(), weights)

    @abstractmethod
    def weigh(self, losses: Float[Tensor, " L"], strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """The weight of each loss, its share and its strength left out. Must not move any state.

        ``strength`` is given for balancers in which the weight of one loss follows from how strongly another acts.
        """

    def step(self, losses: Float[Tensor, " L"], norms: TapNorms | None = None, /) -> None:
        """Move the state on, once after each optimizer step. The only place where it moves."""

    def reset(self) -> None:
        """Forget everything learnt from losses."""

    def select(self, group: str) -> Float[Tensor, " L"]:
        """1 for each loss of the group, 0 for the others."""
        return (self.features if group == FEATURE else ~self.features).to(self.shares)

    def extra_repr(self) -> str:
        """Groups and, where they are not all 1, shares."""
        shares = [] if bool((self.shares == 1).all()) else [f"shares={self.shares.tolist()}"]
        return ", ".join([repr(self.groups), *shares])

    def __repr__(self) -> str:
        """The call that rebuilds this balancer, without its state."""
        return f"{type(self).__name__}({self.extra_repr()})"
