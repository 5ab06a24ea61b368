"""What the labels ask of the student: which kind of task it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import torch
from torch import Tensor

from limbeck._math.answers import answer_rows
from limbeck.batch import Batch
from limbeck.choice import Choice
from limbeck.errors import DataError, RecipeError
from limbeck.outputs.labelled import IGNORED
from limbeck.training.metrics import METRICS, Metric, metric_of

Shape = tuple[int, ...]
_LOSS = "minus the loss"


class Kind(Enum):
    """Kinds of tasks; the value is how a plan calls them."""

    CLASSES = "one class for each sample"
    DENSE = "one class for each position"
    OWN = "tokens that the student judges itself"
    SOFT = "shares of the classes"
    BINARY = "yes or no in one logit"
    LABELS = "several labels at once"
    REGRESSION = "numbers (regression)"
    UNLABELLED = "no labels"
    UNKNOWN = "labels of no known form"


class Means(NamedTuple):
    """What a kind of task is learnt and measured with.

    Attributes:
        labels: output loss of the labels.
        teacher: output loss of the teacher's answers.
        metric: name of what validation measures; ``None`` for the loss.
        judged: whether an answer is right or wrong, so that a teacher at chance can be told.
    """

    labels: str | None
    teacher: str | None
    metric: str | None
    judged: bool = False


MEANS = {
    Kind.CLASSES: Means("CrossEntropy", "SoftLabels", "accuracy", judged=True),
    Kind.DENSE: Means("CrossEntropy", "SoftLabels", "accuracy", judged=True),
    Kind.OWN: Means("OwnLoss", "SoftLabels", None),
    Kind.SOFT: Means("CrossEntropy", "SoftLabels", "accuracy", judged=True),
    Kind.BINARY: Means("BinaryCrossEntropy", "BinarySoftLabels", "accuracy", judged=True),
    Kind.LABELS: Means("BinaryCrossEntropy", "BinarySoftLabels", "label_accuracy"),
    Kind.REGRESSION: Means("SquaredError", "LogitMSE", "negative_error"),
    Kind.UNLABELLED: Means(None, "SoftLabels", None),
    Kind.UNKNOWN: Means(None, None, None),
}


@dataclass(frozen=True)
class Task:
    """A kind of task, with what it was told from.

    Attributes:
        kind: the kind.
        reason: what was seen, for the plan.
        classes: how many classes or labels the student has a logit for; 0 where it has none.
        next_token: whether the answer at a position is to be the label of the position behind it.
    """

    kind: Kind
    reason: str
    classes: int = 0
    next_token: bool = False

    @classmethod
    def read(cls, batches: Sequence[Batch], answer: Shape | None, *, takes_labels: bool = False) -> Task:
        """Tell the kind of task from the labels of a few batches and the shape of the student's logits.

        Args:
            batches: the first few.
            answer: the logits' shape, batch axis first; ``None`` if the student has none.
            takes_labels: whether the student's forward takes ``labels``, as language models do that shift them.

        Example:
            >>> Task.read([Batch(torch.zeros(4, 2), torch.tensor([0, 2, 1, 1]))], (4, 3)).kind
            <Kind.CLASSES: 'one class for each sample'>
            >>> Task.read([Batch(torch.zeros(2, 2), torch.tensor([0.3, 7.0]))], (2, 1)).kind
            <Kind.REGRESSION: 'numbers (regression)'>
        """
        classes = 0 if answer is None else _classes(answer)
        first = batches[0].targets
        if first is None:
            return cls(Kind.UNLABELLED, "the batches have no labels", classes)
        if not isinstance(first, Tensor):
            return cls(Kind.UNKNOWN, f"labels of type {_type(first)}", classes)
        seen = f"{str(first.dtype).removeprefix('torch.')} labels {_each(tuple(first.shape))}"
        if answer is None:
            return cls(Kind.UNKNOWN, f"{seen}, but the student has no logits", 0)
        labels = [each.targets for each in batches if isinstance(each.targets, Tensor)]
        seen += f" for logits {_each(answer)}"
        return cls(_kind(labels, answer, classes, takes_labels), seen, classes)

    @property
    def choice(self) -> Choice:
        """The decision, for the plan."""
        return Choice("task", self.kind.value, self.reason, _rules(self.kind, self.classes))

    @property
    def labelled(self) -> bool:
        """Whether batches have labels."""
        return self.kind is not Kind.UNLABELLED

    @property
    def means(self) -> Means:
        """What it is learnt and measured with."""
        means = MEANS[self.kind]
        # The softmax of one logit is always 1: without labels nobody knows whether it is a yes or no, or a number.
        return means._replace(teacher="LogitMSE") if means.teacher == "SoftLabels" and self.classes == 1 else means

    def metric(self, metric: str | Metric) -> tuple[str, Metric | None]:
        """Name and function of what validation measures; no function for the loss, where answers cannot be compared.

        Args:
            metric: ``auto`` for what suits the task, a name, or a function of logits and labels.

        Raises:
            RecipeError: if there is no metric of that name, or it does not suit the task.
        """
        if not isinstance(metric, str):
            return ("metric", metric) if self.labelled and self.classes else (_LOSS, None)
        own = self.means.metric
        if metric != "auto":
            metric_of(metric)
            if own is not None and metric != own and not (metric == "accuracy" and own == "label_accuracy"):
                raise RecipeError(
                    f"The metric must suit the task, which is {self.kind.value} ({self.reason}). Found '{metric}'. Use "
                    f"'{own}', 'auto', or a function of logits and labels."
                )
        return (_LOSS, None) if own is None else (own, METRICS[own])

    def check_labels(self, batches: Sequence[Batch], name: str) -> None:
        """Refuse labels that no answer of the student could match.

        Args:
            batches: what to check.
            name: of the data, for the error.

        Raises:
            DataError: if class numbers are out of range, or numbers are not finite.
        """
        for batch in batches:
            if (fault := self.fault(batch)) is not None:
                raise DataError(f"The {name} data cannot be learnt from: {fault}")

    def fault(self, batch: Batch) -> str | None:
        """What is wrong with the labels of a batch; ``None`` if nothing is."""
        targets = batch.targets
        if not isinstance(targets, Tensor) or not targets.numel() or self.kind in {Kind.UNKNOWN, Kind.UNLABELLED}:
            return None
        if targets.is_floating_point():
            bad = int((~torch.isfinite(targets)).sum())
            return None if not bad else f"labels must be finite. Found {bad} that are NaN or infinite. Clean the data."
        if self.kind not in {Kind.CLASSES, Kind.DENSE, Kind.OWN}:
            return None
        lost = targets[((targets < 0) | (targets >= self.classes)) & (targets != IGNORED)]
        if not lost.numel():
            return None
        found = ", ".join(str(each) for each in lost.unique()[:5].tolist())
        return (
            f"labels must be class numbers from 0 to {self.classes - 1}, as the student has {self.classes} classes, or "
            f"{IGNORED} where there is none. Found {found}. Number the classes from 0, give the student as many "
            f"outputs, or replace the labels that mark what does not count by {IGNORED} (adapt=)."
        )


def _rules(kind: Kind, classes: int) -> dict[str, str]:
    """By what a kind was told from those that labels of the same form could be of; nothing where the form decides."""
    numbers = {Kind.BINARY: "0 and 1 only", Kind.REGRESSION: "other numbers"}
    if classes > 1:
        numbers = {Kind.SOFT: "none below 0, in sum 1", Kind.LABELS: "0 and 1 only", Kind.REGRESSION: "other numbers"}
    for rules in (numbers, {Kind.OWN: "the student's forward takes labels", Kind.DENSE: "it does not"}):
        if kind in rules:
            return {each.value: rule for each, rule in rules.items()}
    return {}


def _classes(answer: Shape) -> int:
    if len(answer) < 2:
        return 1
    return answer[1] if len(answer) > 3 else answer[-1]


def _positions(answer: Shape) -> Shape:
    """The axes along which a student gives one answer each, without the batch."""
    return answer[2:] if len(answer) > 3 else answer[1:-1]


def _kind(labels: Sequence[Tensor], answer: Shape, classes: int, takes_labels: bool) -> Kind:
    first = labels[0]
    whole = not first.is_floating_point() and not first.is_complex()
    if whole and classes > 1:
        if takes_labels and first.ndim == 2:
            return Kind.OWN
        if first.shape[1:] == torch.Size(_positions(answer)):
            return Kind.DENSE if first.ndim > 1 else Kind.CLASSES
    if first.is_complex() or _squeezed(first.shape[1:]) != _squeezed(answer[1:]):
        return Kind.UNKNOWN
    yes_or_no = all(bool(((each == 0) | (each == 1) | (each == IGNORED)).all()) for each in labels)
    if classes == 1:
        return Kind.BINARY if yes_or_no else Kind.REGRESSION
    if all(_shares(each) for each in labels):
        return Kind.SOFT
    return Kind.LABELS if yes_or_no else Kind.REGRESSION


def _shares(labels: Tensor) -> bool:
    """Whether the labels are shares of the classes: none below zero, one in sum."""
    rows = answer_rows(labels.double() if labels.device.type != "mps" else labels.float())
    return bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() < 1e-2).all())


def _type(labels: Any) -> str:
    name = type(labels).__name__
    if not isinstance(labels, list | tuple):
        return name
    kinds = sorted({type(each).__name__ for each in labels})
    return f"{name} of {', '.join(kinds)}" if kinds else name


def _squeezed(shape: Any) -> Shape:
    return tuple(each for each in shape if each != 1)


def _each(shape: Shape) -> str:
    return "(" + ", ".join(["B", *map(str, shape[1:])]) + ")"
