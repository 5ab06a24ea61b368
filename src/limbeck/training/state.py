"""Where a training stands."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from limbeck.training.evaluation import Evaluation


class State:
    """Counters, the best weights so far, and the running average of the student.

    Attributes:
        step: optimizer steps done.
        epoch: passes begun, from 0.
        batch: batches of the current pass that were used.
        stale: evaluations without improvement.
        evaluation: the best one.
        best: the student's state at the best evaluation, on the CPU.
        average: running average of the student, or ``None``.
        finished: whether the training has come to its end.
    """

    def __init__(self, student: nn.Module, *, ema: float | None = None) -> None:
        self.step = self.epoch = self.batch = self.stale = 0
        self.finished = False
        self.evaluation: Evaluation | None = None
        self.best: dict[str, Any] | None = None
        self.average: AveragedModel | None = None
        if ema is not None:
            average = get_ema_multi_avg_fn(ema)
            self.average = AveragedModel(student, multi_avg_fn=average, use_buffers=True)

    def judge(self, evaluation: Evaluation, student: nn.Module) -> None:
        """Keep the student's weights if this evaluation is the best so far."""
        if evaluation.better_than(self.evaluation):
            self.evaluation, self.stale = evaluation, 0
            self.best = {name: _kept(value) for name, value in student.state_dict().items()}
        else:
            self.stale += 1

    @contextmanager
    def averaged(self, student: nn.Module) -> Iterator[None]:
        """While entered, the student has the averaged weights, if an average is kept."""
        if self.average is None:
            yield
            return
        own = copy.deepcopy(student.state_dict())
        _take_average(student, self.average)
        try:
            yield
        finally:
            student.load_state_dict(own)

    def counts(self) -> dict[str, Any]:
        """Everything that is no tensor."""
        counts = {name: getattr(self, name) for name in ("step", "epoch", "batch", "stale", "finished")}
        return {**counts, "evaluation": None if self.evaluation is None else list(self.evaluation)}

    def restore(self, counts: dict[str, Any], best: dict[str, Any] | None) -> None:
        """Take over what :meth:`counts` gave, and the best weights."""
        for name in ("step", "epoch", "batch", "stale", "finished"):
            setattr(self, name, counts[name])
        self.evaluation = None if counts["evaluation"] is None else Evaluation(*counts["evaluation"])
        self.best = best

    @torch.no_grad()
    def adopt(self, student: nn.Module) -> None:
        """Put what training chose into the student: the best weights, else the average, else leave it."""
        if self.best is not None:
            student.load_state_dict(self.best)
        elif self.average is not None:
            _take_average(student, self.average)


def _kept(value: Any) -> Any:
    return value.detach().cpu().clone() if torch.is_tensor(value) else copy.deepcopy(value)


def _take_average(student: nn.Module, average: AveragedModel) -> None:
    # What a module keeps beside its tensors (get_extra_state) has no average: the student's own stays.
    averaged = {name: value for name, value in average.module.state_dict().items() if torch.is_tensor(value)}
    student.load_state_dict({**student.state_dict(), **averaged})
