"""What the two forms of the simple recipe share."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import both_valid
from limbeck._math.moments import standardised
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss

_VARIANCE = 1e-5


class StandardisedLog(FeatureLoss):
    """The logarithm of a sum of powers of errors between features that are standardised per channel over the batch.

    A subclass computes the errors in :meth:`errors`.
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS
    non_negative: ClassVar[bool] = False
    zero_when_equal: ClassVar[bool] = False
    minimum_batch: ClassVar[int] = 2

    def __init__(self, *, power: float = 4.0, eps: float = 1e-5) -> None:
        super().__init__()
        if power < 1:
            raise RecipeError(f"{type(self).__name__} needs a power of at least 1. Found {power}. The paper takes 4.")
        self.power = power
        self.eps = eps

    @abstractmethod
    def errors(
        self, student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], valid: Bool[Tensor, "B N"] | None, /
    ) -> Tensor:
        """What is raised to the power and summed."""

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        valid = both_valid(student.mask, teacher.mask)
        s, t = (standardised(each.x, valid, eps=_VARIANCE) for each in (student, teacher))
        return (self.errors(s, t, valid).abs().pow(self.power).sum() + self.eps).log()

    def extra_repr(self) -> str:
        """Options."""
        return f"power={self.power}, eps={self.eps}"
