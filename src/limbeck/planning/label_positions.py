"""Does a label judge the answer at its own position, or the answer one position before?"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.batch import Batch, ReadOutput, call, unwrap, with_samples
from limbeck.choice import Choice
from limbeck.context import Context
from limbeck.evaluating import evaluating
from limbeck.outputs.cross_entropy import CrossEntropy
from limbeck.outputs.labelled import IGNORED, labels_at_answers
from limbeck.planning.task import Kind, Task

POSITIONS = "labels"
NEXT, SAME = "of the next position", "of the same position"
# Both numbers come from the same logits and differ by rounding only, but for models that add a loss of another kind.
_CLOSE = 1e-4
# Few samples do, as long as the two forms are told apart; the labels of a batch may be long.
_SAMPLES = 4


def takes_labels(student: nn.Module, batch: Batch) -> bool:
    """Whether the student's forward takes ``labels``, and the batch has inputs by name to put them among."""
    return isinstance(batch.inputs, Mapping) and "labels" in inspect.signature(unwrap(student).forward).parameters


@torch.no_grad()
def label_positions(student: nn.Module, batch: Batch, task: Task, read_output: ReadOutput) -> Choice | None:
    """Which position a label judges, with how it was told; ``None`` where labels are not one for each token.

    The loss that the student's own forward returns is compared with the cross-entropy of its answers in both forms. A
    student that returns none learns the next token if its labels are its inputs, as nobody teaches a model to repeat.
    """
    if task.kind not in {Kind.DENSE, Kind.OWN} or not isinstance(batch.targets, Tensor) or batch.targets.ndim != 2:
        return None
    if takes_labels(student, batch):
        few = with_samples(batch, min(batch.size, _SAMPLES))
        with evaluating(student):
            output = call(student, {**few.inputs, "labels": few.targets})
        own, logits = getattr(output, "loss", None), read_output(output)
        if isinstance(own, Tensor) and isinstance(logits, Tensor):
            apart = {form: abs(_loss(logits, few, form == NEXT) - own.item()) for form in (SAME, NEXT)}
            form = min(apart, key=lambda each: apart[each])
            if apart[form] <= _CLOSE * max(1.0, abs(own.item())):
                return Choice(POSITIONS, form, "so reads the student's own loss", apart)
    if _repeats_inputs(batch):
        return Choice(POSITIONS, NEXT, "they are the inputs: language modelling")
    return Choice(POSITIONS, SAME, "they are not the inputs")


def _loss(logits: Tensor, batch: Batch, next_token: bool) -> float:
    targets = labels_at_answers(batch.targets, None, next_token=next_token)
    return CrossEntropy()(Context(targets=targets, student_output=logits)).item()


def _repeats_inputs(batch: Batch) -> bool:
    inputs: Any = batch.inputs.get("input_ids") if isinstance(batch.inputs, Mapping) else batch.inputs
    if not isinstance(inputs, Tensor) or inputs.shape != batch.targets.shape or inputs.is_floating_point():
        return False
    labelled = batch.targets != IGNORED
    return bool(labelled.any()) and bool((inputs == batch.targets)[labelled].all())
