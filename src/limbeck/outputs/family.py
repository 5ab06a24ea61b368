"""The contract of every output loss: what the student answers against labels or the teacher's answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.context import Context
from limbeck.errors import DataError, ModelError, ShapeMismatch


class OutputLoss(nn.Module, ABC):
    """Judges the student's logits ``[B, K]``, ``[B, N, K]`` or of another task's shape.

    Attributes:
        requires: which parts of the :class:`~limbeck.context.Context` it reads beside the student's logits:
            ``targets``, ``teacher_output``.
        non_negative: whether the value is never below zero.
    """

    requires: ClassVar[frozenset[str]] = frozenset()
    non_negative: ClassVar[bool] = True

    def forward(self, context: Context, /) -> Float[Tensor, ""]:
        """Judge; computed in full precision, with the teacher outside of the graph.

        Raises:
            DataError: if the batch lacks something that the loss requires.
            ModelError: if the student gave no logits and the loss is not the student's own.
            ShapeMismatch: if student and teacher answer in different shapes.
        """
        for part in sorted(self.requires):
            if getattr(context, part) is None:
                raise DataError(
                    f"{type(self).__name__} needs {part.replace('_', ' ')}. Found none in this batch. "
                    "Give labelled data, or use an output loss that needs none."
                )
        student, teacher = context.student_output, context.teacher_output
        if not isinstance(student, Tensor) and "student_loss" not in self.requires:
            raise ModelError(
                f"{type(self).__name__} needs the student's logits. Found {type(student).__name__}. "
                "Say where they are (output=lambda raw: ...), or distil features only (recipe='features')."
            )
        if "teacher_output" in self.requires and student.shape != teacher.shape:
            raise ShapeMismatch(
                f"{type(self).__name__} needs logits of one shape. Found student {tuple(student.shape)}, teacher "
                f"{tuple(teacher.shape)}. Give both models the same classes, or distil features only "
                "(recipe='features')."
            )
        known = student if isinstance(student, Tensor) else context.student_loss
        device = "cpu" if known is None else known.device.type
        with torch.autocast(device, enabled=False):
            full = context._replace(student_output=_full(student), teacher_output=_full(teacher, detach=True))
            return self.judge(full)

    @abstractmethod
    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""

    def __repr__(self) -> str:
        """The call that rebuilds this loss."""
        return f"{type(self).__name__}({self.extra_repr()})"


def _full(logits: Tensor | None, *, detach: bool = False) -> Tensor | None:
    if logits is None:
        return None
    logits = logits.detach() if detach else logits
    return logits if logits.dtype in {torch.float32, torch.float64} else logits.float()
