"""What the losses share that compare position by position."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import valid_pair
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.samplewise import SamplewiseLoss


class PositionwiseLoss(SamplewiseLoss):
    """A feature loss that is the mean of a distance over the positions that are valid on both sides.

    A subclass computes the distance in :meth:`distances`.
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS

    @abstractmethod
    def distances(self, student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], /) -> Float[Tensor, "B N"]:
        """How far apart the two are at each position; those that are not valid hold zeros on both sides."""

    def rows(self, student: Feature, teacher: Feature, /) -> tuple[Float[Tensor, "B N"], Bool[Tensor, "B N"] | None]:
        """The distance at every position, and which of them are valid on both sides."""
        mine, theirs, valid = valid_pair(student, teacher)
        return self.distances(mine, theirs), valid
