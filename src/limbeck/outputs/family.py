"""The contract of every output loss: what the student answers against labels or the teacher's answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck._math.answers import class_axis
from limbeck.batch import map_tensors
from limbeck.context import Context, TopAnswers
from limbeck.errors import DataError, ModelError, ShapeMismatch
from limbeck.outputs.labelled import labels_at_answers


class OutputLoss(nn.Module, ABC):
    """Judges the student's logits ``[B, K]``, ``[B, N, K]`` or of another task's shape.

    Attributes:
        requires: which parts of the :class:`~limbeck.context.Context` it reads beside the student's logits:
            ``targets``, ``teacher_output``.
        non_negative: whether the value is never below zero.
        zero_when_equal: whether answering exactly as the teacher gives zero.
        numeric_labels: whether it reads labels as numbers, one for each logit, and not as class numbers.
        same_classes: whether it needs a teacher with the student's classes, one by one.
        minimum_batch: the smallest batch on which the value means anything.
        raw_labels: whether it reads the labels as the batch has them: those of padding too, and unmoved where the
            student is to answer with the next token.
        full_precision: whether logits arrive in at least float32; a loss that raises them piece by piece says no.
    """

    requires: ClassVar[frozenset[str]] = frozenset()
    non_negative: ClassVar[bool] = True
    zero_when_equal: ClassVar[bool] = False
    numeric_labels: ClassVar[bool] = False
    same_classes: ClassVar[bool] = True
    minimum_batch: ClassVar[int] = 1
    raw_labels: ClassVar[bool] = False
    full_precision: ClassVar[bool] = True

    def forward(self, context: Context, /) -> Float[Tensor, ""]:
        """Judge; computed in full precision, with the teacher outside of the graph and without what is padding.

        Raises:
            DataError: if the batch lacks something that the loss requires.
            ModelError: if the student gave no logits and the loss is not the student's own.
            ShapeMismatch: if student and teacher answer in different shapes, or the batch is too small.
        """
        self._check_parts(context)
        student, teacher = context.student_output, context.teacher_output
        if "teacher_output" in self.requires:
            self.check_teacher(student, teacher)
        known = student if isinstance(student, Tensor) else context.student_loss
        device = "cpu" if known is None else known.device.type
        with torch.autocast(device, enabled=False):
            teacher = _mapped(teacher, Tensor.detach)
            if self.full_precision:
                student, teacher = _mapped(student, in_full_precision), _mapped(teacher, in_full_precision)
            if not self.raw_labels:
                context = without_padding(context)
            return self.judge(context._replace(student_output=student, teacher_output=teacher))

    @property
    def top_temperature(self) -> float | None:
        """At which it can read :class:`~limbeck.context.TopAnswers`; ``None`` if it needs all logits."""
        return None

    def check_teacher(self, student: Tensor, teacher: Any, /) -> None:
        """Refuse a teacher whose answers cannot be compared: one of another shape, unless a subclass knows better.

        Raises:
            ModelError: if its answer holds no logits, or not all that are needed.
            ShapeMismatch: naming both shapes.
        """
        if isinstance(teacher, TopAnswers) and self.top_temperature is not None:
            self.check_top(student, teacher)
            return
        if not isinstance(teacher, Tensor):
            raise ModelError(
                f"{type(self).__name__} needs all of the teacher's logits. Found {type(teacher).__name__}. Say where "
                "they are (output=lambda raw: ...); where a cache keeps the most probable classes only (cache_top_k=), "
                "use SoftLabels, ForwardKL or TopKSoftLabels."
            )
        mine, theirs = student.shape, teacher.shape
        if not self.same_classes and student.ndim == teacher.ndim > 1:
            mine, theirs = (each.select(class_axis(each), 0).shape for each in (student, teacher))
        if mine != theirs:
            raise ShapeMismatch(
                f"{type(self).__name__} needs logits of one shape. Found student {tuple(student.shape)}, teacher "
                f"{tuple(teacher.shape)}. Give both models the same classes, use UniversalLogit where "
                "vocabularies differ, or distil features only (recipe='features')."
            )

    def check_top(self, student: Tensor, teacher: TopAnswers, /) -> None:
        """Refuse most probable classes that are not those of the student's answers.

        Raises:
            ShapeMismatch: if there are others, or of other answers.
        """
        axis = class_axis(student)
        mine, theirs = student.select(axis, 0).shape, teacher.indices.shape[:-1]
        if mine != theirs or student.shape[axis] != teacher.classes:
            raise ShapeMismatch(
                f"{type(self).__name__} needs the teacher's most probable classes for each of the answers "
                f"{tuple(mine)} among {student.shape[axis]}. Found answers {tuple(theirs)} among {teacher.classes}. "
                "Keep them with the same inputs, of a teacher with the same classes."
            )

    def _check_parts(self, context: Context) -> None:
        for part in sorted(self.requires):
            if getattr(context, part) is None:
                raise DataError(
                    f"{type(self).__name__} needs {part.replace('_', ' ')}. Found none in this batch. "
                    "Give labelled data, or use an output loss that needs none."
                )
        student = context.student_output
        if isinstance(student, Tensor):
            if student.ndim and len(student) < self.minimum_batch:
                raise ShapeMismatch(
                    f"{type(self).__name__} needs at least {self.minimum_batch} samples in a batch. Found "
                    f"{len(student)}. Use a larger batch, drop_last=True, or SoftLabels."
                )
        elif "student_loss" not in self.requires:
            raise ModelError(
                f"{type(self).__name__} needs the student's logits. Found {type(student).__name__}. "
                "Say where they are (output=lambda raw: ...), or distil features only (recipe='features')."
            )

    @abstractmethod
    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""

    def __repr__(self) -> str:
        """The call that rebuilds this loss."""
        return f"{type(self).__name__}({self.extra_repr()})"


def without_padding(context: Context) -> Context:
    """The context with -100 for the labels of padding, and a mask only where the student answers at its positions."""
    student, mask = context.student_output, context.mask
    if mask is None or not isinstance(student, Tensor) or student.ndim != 3 or student.shape[:2] != mask.shape:
        return context._replace(mask=None)
    return context._replace(targets=labels_at_answers(context.targets, mask))


def in_full_precision(logits: Tensor) -> Tensor:
    """The logits in float32 if they come in less, otherwise as they are."""
    return logits if logits.dtype in {torch.float32, torch.float64} else logits.float()


def _mapped(answer: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(answer, TopAnswers):
        return map_tensors(answer, lambda each: change(each) if each.is_floating_point() else each)
    return change(answer) if isinstance(answer, Tensor) else answer
