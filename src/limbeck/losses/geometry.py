"""What the losses share that compare all positions of a batch as two clouds of points."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.gram import unit_frobenius
from limbeck._math.masking import both_valid
from limbeck._math.moments import centred_positions
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class Geometry(FeatureLoss):
    """Compares two matrices of positions by channels, each centred and of length 1 as a whole.

    A subclass computes in :meth:`apart`.
    """

    needs: ClassVar[Match] = Match.POSITIONS
    minimum_batch: ClassVar[int] = 2

    def __init__(self, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    @abstractmethod
    def apart(self, student: Float[Tensor, "M Cs"], teacher: Float[Tensor, "M Ct"], /) -> Float[Tensor, ""]:
        """The formula."""

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula, on centred positions that are valid on both sides."""
        valid = both_valid(student.mask, teacher.mask)
        return self.apart(
            *(unit_frobenius(centred_positions(x, valid).flatten(0, 1), eps=self.eps) for x in (student.x, teacher.x))
        )

    def extra_repr(self) -> str:
        """Options."""
        return f"eps={self.eps}"
