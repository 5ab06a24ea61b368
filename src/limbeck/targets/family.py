"""The contract of every target: a teacher's feature, made into what the student must predict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from limbeck.errors import TeacherError
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link


class Target(nn.Module, ABC):
    """Maps a teacher's feature; has no parameters, only buffers that are fitted once and then frozen.

    Attributes:
        keeps_channels: whether a channel of its output is still the teacher's channel in the teacher's own units; where
            it is not, a student of equal width needs a projector all the same.
        requires: ``teacher_head`` where it reads the teacher's last linear layer; its :meth:`for_link` then takes
            :class:`~limbeck.context.Heads` after the link.
    """

    keeps_channels: ClassVar[bool] = False
    requires: ClassVar[frozenset[str]] = frozenset()

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


class FittedTarget(Target):
    """A target that cannot be used before it is fitted.

    A subclass ends its :meth:`fit` with :meth:`now_fitted`, and begins its forward with :meth:`require_fitted`.
    """

    fitted: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fitted", torch.tensor(False))
        self._ready = False

    def now_fitted(self) -> None:
        """Remember, in the state dict too, that the statistics are there."""
        self.fitted.fill_(True)

    def require_fitted(self) -> None:
        """Refuse to be used without statistics.

        Raises:
            TeacherError: if there are none.
        """
        # The buffer is asked until it first says yes, and not again: asking it waits for the device.
        self._ready = self._ready or bool(self.fitted)
        if not self._ready:
            raise TeacherError(
                f"{type(self).__name__} needs the teacher's statistics. Found none. Call fit(features) with the "
                "teacher's features of a few batches, or load them with load_state_dict."
            )
