"""The contract of every projector: a student's feature, made comparable with its target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from limbeck.features import Feature
from limbeck.links import Link, Match


class Projector(nn.Module, ABC):
    """Maps a student's feature onto the shape of what it must predict; thrown away after training.

    Attributes:
        aligns: in what its output agrees with the target.
        needs_grid: whether the target's positions must form a grid, without prefix tokens.
    """

    aligns: ClassVar[Match] = Match.NOTHING
    needs_grid: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def for_link(cls, link: Link, /) -> Projector:
        """Build one with the sizes of a link, whose teacher side is described as its targets leave it.

        Subclasses add their options as keyword-only arguments.

        Raises:
            ShapeMismatch: if this projector cannot join the two.
        """

    @abstractmethod
    def forward(self, student: Feature, /) -> Feature:
        """Project."""

    @property
    def parameter_count(self) -> int:
        """How many numbers it learns."""
        return sum(each.numel() for each in self.parameters())

    def __repr__(self) -> str:
        """The call that rebuilds this projector."""
        return f"{type(self).__name__}({self.extra_repr()})"
