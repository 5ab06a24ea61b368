"""The contract of every target: a teacher's feature, made into what the student must predict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from torch import nn

from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link


class Target(nn.Module, ABC):
    """Maps a teacher's feature; has no parameters, only buffers that are fitted once and then frozen.

    Attributes:
        keeps_channels: whether a channel of its output is still the teacher's channel in the teacher's own units; where
            it is not, a student of equal width needs a projector all the same.
    """

    keeps_channels: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def for_link(cls, link: Link, /) -> Target:
        """Build one with the sizes of a link. Subclasses add their options as keyword-only arguments."""

    def fit(self, features: Iterable[Feature], /) -> None:
        """Take statistics from the teacher's features on a few batches."""

    @abstractmethod
    def forward(self, teacher: Feature, /) -> Feature:
        """What the student must predict."""

    def describe(self, spec: FeatureSpec, /) -> FeatureSpec:
        """The teacher's spec as this target leaves it."""
        return spec

    def __repr__(self) -> str:
        """The call that rebuilds this target, without its statistics."""
        return f"{type(self).__name__}({self.extra_repr()})"
