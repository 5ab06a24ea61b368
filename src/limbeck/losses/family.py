"""The contract of every feature loss: two features in, one number out."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.context import NOTHING_KNOWN, Context, Heads
from limbeck.errors import DataError, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import Link, Match


class FeatureLoss(nn.Module, ABC):
    """Compares a student's feature with a teacher's.

    A subclass declares what it needs and computes in :meth:`compare`; everything that all losses share (shape checks,
    the detached teacher, full precision) happens here.

    Attributes:
        needs: in what the two features must agree already; the plan puts a projector in front where they do not.
        requires: what it must know beside the two features. ``keys`` and ``targets`` of the batch come in a
            :class:`~limbeck.context.Context` (see :class:`InformedLoss`); ``student_head`` and ``teacher_head`` are
            given to :meth:`for_link`. ``attention`` says that the sites must hold queries and keys.
        needs_raw_target: whether the target must stay in the teacher's own units, as where its head is to read it.
        non_negative: whether the value is never below zero; log and ratio balancers need that.
        zero_when_equal: whether two equal features give zero.
        minimum_batch: the smallest batch on which the value means anything.
        minimum_positions: the fewest positions of a sample, prefix tokens left out, on which it means anything; 2 where
            positions are compared with each other.
        channel_groups: into how many equal groups the channels of each side are split, as the heads of attention are.
    """

    needs: ClassVar[Match] = Match.NOTHING
    requires: ClassVar[frozenset[str]] = frozenset()
    needs_raw_target: ClassVar[bool] = False
    non_negative: ClassVar[bool] = True
    zero_when_equal: ClassVar[bool] = True
    minimum_batch: ClassVar[int] = 1
    minimum_positions: ClassVar[int] = 1
    channel_groups: int = 1

    @classmethod
    def for_link(cls, _link: Link, _heads: Heads, /) -> FeatureLoss:
        """Build one for a link, as projector and targets leave it; a loss with parameters takes their sizes from it.

        Subclasses that need it write their options as keyword-only arguments after these two. All others are built
        from their options alone.
        """
        return cls()

    def forward(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """Compare; computed in full precision, with the teacher outside of the graph.

        Raises:
            ShapeMismatch: if the two do not agree in what the loss ``needs``, or the batch is too small.
        """
        self._check(student, teacher)
        with torch.autocast(student.x.device.type, enabled=False):
            return self.compare(student.full_precision(), teacher.full_precision().detach())

    def samples(self, student: Feature, teacher: Feature, /) -> Float[Tensor, " B"]:
        """What each sample gives by itself, for associations that weigh samples one by one.

        Raises:
            ShapeMismatch: as :meth:`forward`, or if samples have no value by themselves in this loss.
        """
        self._check(student, teacher)
        with torch.autocast(student.x.device.type, enabled=False):
            return self.compare_samples(student.full_precision(), teacher.full_precision().detach())

    @classmethod
    def judges_samples(cls) -> bool:
        """Whether each sample has a value by itself."""
        return cls.compare_samples is not FeatureLoss.compare_samples

    @abstractmethod
    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""

    def compare_samples(self, _student: Feature, _teacher: Feature, /) -> Float[Tensor, " B"]:
        """The formula for each sample, where it has one."""
        raise ShapeMismatch(
            f"{type(self).__name__} compares batches, not samples. An association that weighs each sample needs a loss "
            "with a value for each. Use MSE, Cosine or AttentionTransfer, or the association EarthMover."
        )

    def _check(self, student: Feature, teacher: Feature) -> None:
        name = type(self).__name__
        (batch, positions, channels), (batch_t, positions_t, channels_t) = student.x.shape, teacher.x.shape
        if batch != batch_t:
            raise ShapeMismatch(
                f"{name} needs the same samples on both sides. Found {batch} of the student and {batch_t} of the "
                "teacher. Give both models the same batch."
            )
        if batch < self.minimum_batch:
            raise ShapeMismatch(
                f"{name} needs at least {self.minimum_batch} samples in a batch. Found {batch}. Use a larger batch, "
                "drop_last=True, or a loss that compares sample by sample (MSE, Cosine)."
            )
        self.check_sizes((positions - student.prefix, channels), (positions_t - teacher.prefix, channels_t))
        if Match.CHANNELS in self.needs and channels != channels_t:
            raise ShapeMismatch(
                f"{name} needs equal channels. Found student {channels}, teacher {channels_t}. Put a projector before "
                "this loss (Linear), or use one that needs none (CKA, SimilarityPreserving)."
            )
        if Match.POSITIONS in self.needs and positions != positions_t:
            raise ShapeMismatch(
                f"{name} needs equal positions. Found student {positions}, teacher {positions_t}. Put a projector "
                "before this loss (Linear, Resample), or use one that needs none (CKA, SimilarityPreserving)."
            )
        if Match.GRID in self.needs and (student.grid is None or student.grid != teacher.grid):
            raise ShapeMismatch(
                f"{name} needs one grid on both sides. Found student {student.grid}, teacher {teacher.grid}. Put "
                "Resample before this loss, or use one that needs none (CKA, SimilarityPreserving)."
            )

    def check_sizes(self, student: tuple[int, int], teacher: tuple[int, int], /) -> None:
        """Refuse features of sizes on which it means nothing: positions (prefix tokens left out) and channels of each.

        Raises:
            ShapeMismatch: if there are fewer positions than ``minimum_positions``, or channels do not split into
                ``channel_groups``.
        """
        name, fewest = type(self).__name__, min(student[0], teacher[0])
        if fewest < self.minimum_positions:
            raise ShapeMismatch(
                f"{name} compares the positions of a sample with each other: it needs at least "
                f"{self.minimum_positions} positions. Found {fewest}. Use a loss that compares channels (MSE, Cosine) "
                "or samples (CKA)."
            )
        if student[1] % self.channel_groups or teacher[1] % self.channel_groups:
            raise ShapeMismatch(
                f"{name} splits channels into {self.channel_groups} groups of one size. Found student {student[1]}, "
                f"teacher {teacher[1]}. Take fewer heads; {math.gcd(student[1], teacher[1])} groups would fit both."
            )

    def __repr__(self) -> str:
        """The call that rebuilds this loss."""
        return f"{type(self).__name__}({self.extra_repr()})"


class InformedLoss(FeatureLoss):
    """A feature loss that must know more of the batch than the two features, such as which samples they are.

    A subclass computes in :meth:`compare_knowing`.
    """

    def forward(self, student: Feature, teacher: Feature, context: Context = NOTHING_KNOWN, /) -> Float[Tensor, ""]:
        """Compare, knowing ``context``; otherwise as :meth:`FeatureLoss.forward`.

        Raises:
            DataError: if the context lacks something that the loss requires.
        """
        self._check(student, teacher)
        for part in sorted(self.requires & set(Context._fields)):
            if getattr(context, part) is None:
                raise DataError(
                    f"{type(self).__name__} needs the {part} of the batch. Found none. Let the loader yield "
                    f"limbeck.Batch(inputs, targets, keys) with {part}, or use a loss that needs none (InfoNCE, CKA)."
                )
        with torch.autocast(student.x.device.type, enabled=False):
            return self.compare_knowing(student.full_precision(), teacher.full_precision().detach(), context)

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula, where nothing more is known."""
        return self.compare_knowing(student, teacher, NOTHING_KNOWN)

    @abstractmethod
    def compare_knowing(self, student: Feature, teacher: Feature, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
