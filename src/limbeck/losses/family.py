"""The contract of every feature loss: two features in, one number out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import Match


class FeatureLoss(nn.Module, ABC):
    """Compares a student's feature with a teacher's.

    A subclass declares what it needs and computes in :meth:`compare`; everything that all losses share (shape checks,
    the detached teacher, full precision) happens here.

    Attributes:
        needs: in what the two features must agree already; the plan puts a projector in front where they do not.
        non_negative: whether the value is never below zero; log and ratio balancers need that.
        zero_when_equal: whether two equal features give zero.
        minimum_batch: the smallest batch on which the value means anything.
    """

    needs: ClassVar[Match] = Match.NOTHING
    non_negative: ClassVar[bool] = True
    zero_when_equal: ClassVar[bool] = True
    minimum_batch: ClassVar[int] = 1

    def forward(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """Compare; computed in full precision, with the teacher outside of the graph.

        Raises:
            ShapeMismatch: if the two do not agree in what the loss ``needs``, or the batch is too small.
        """
        self._check(student, teacher)
        with torch.autocast(student.x.device.type, enabled=False):
            return self.compare(student.full_precision(), teacher.full_precision().detach())

    @abstractmethod
    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""

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

    def __repr__(self) -> str:
        """The call that rebuilds this loss."""
        return f"{type(self).__name__}({self.extra_repr()})"
