"""The contract of every target: a teacher's feature, made into what the student must predict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol, runtime_checkable

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
        minimum_batch: the smallest batch on which its output means anything.
    """

    keeps_channels: ClassVar[bool] = False
    requires: ClassVar[frozenset[str]] = frozenset()
    minimum_batch: ClassVar[int] = 1

    @classmethod
    @abstractmethod
    def for_link(cls, link: Link, /) -> Target:
        """Build one with the sizes of a link. Subclasses add their options as keyword-only arguments."""

    @abstractmethod
    def forward(self, teacher: Feature, /) -> Feature:
        """What the student must predict."""

    def describe(self, spec: FeatureSpec, /) -> FeatureSpec:
        """The teacher's spec as this target leaves it."""
        return spec

    def __repr__(self) -> str:
        """The call that rebuilds this target, without its statistics."""
        return f"{type(self).__name__}({self.extra_repr()})"


@runtime_checkable
class Statistics(Protocol):
    """What a target must know of the teacher's features, gathered batch by batch."""

    def add(self, feature: Feature, /) -> None:
        """Take in one batch."""
        ...


class FittedTarget(Target):
    """A target that cannot be used before it is fitted.

    A subclass says what it gathers in :meth:`statistics`, and takes its buffers from that in :meth:`settle`, which ends
    with :meth:`now_fitted`; its forward begins with :meth:`require_fitted`. Gathering is apart from settling so that
    many targets can be fitted while a teacher runs once.
    """

    fitted: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("fitted", torch.tensor(False))
        self._ready = False

    @abstractmethod
    def statistics(self) -> Statistics:
        """What is to be gathered of the teacher's features, nothing of it seen yet."""

    @abstractmethod
    def settle(self, statistics: Any, /) -> None:
        """Freeze what was gathered by :meth:`statistics`."""

    @torch.no_grad()
    def fit(self, features: Iterable[Feature], /) -> None:
        """Gather over the teacher's features on a few batches, one held at a time, and settle."""
        gathered = self.statistics()
        for feature in features:
            gathered.add(feature)
        self.settle(gathered)

    def now_fitted(self) -> None:
        """Remember, in the state dict too, that the statistics are there."""
        self.fitted.fill_(True)

    def require_fitted(self) -> None:
        """Refuse to be used without statistics.

        Raises:
            TeacherError: if there are none.
        """
        # The buffer is asked until it first says yes, and not again: asking it waits for the device.
        if not self._ready:
            self._ready = bool(self.fitted)
        if not self._ready:
            raise TeacherError(
                f"{type(self).__name__} needs the teacher's statistics. Found none. Call fit(features) with the "
                "teacher's features of a few batches, or load them with load_state_dict."
            )
