"""How good a student is on held-out data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator

from limbeck.batch import Adapt, call, move
from limbeck.distiller.distiller import Distiller
from limbeck.evaluating import evaluating
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.metrics import Metric


class Evaluation(NamedTuple):
    """One look at the validation data.

    Attributes:
        metric: mean of the metric, or minus the loss where there is no metric; larger is better.
        loss: the mean weighed loss, teacher included.
        samples: how many scores the metric is a mean of.
    """

    metric: float
    loss: float
    samples: int

    def better_than(self, other: Evaluation | None) -> bool:
        """Whether this is better; the loss decides between equal metrics.

        Example:
            >>> Evaluation(0.9, 0.3, 100).better_than(Evaluation(0.9, 0.4, 100))
            True
        """
        if other is None:
            return math.isfinite(self.metric)
        return (self.metric, -self.loss) > (other.metric, -other.loss)


@torch.no_grad()
def evaluate(
    distiller: Distiller,
    source: FeatureSource | None,
    loader: Iterable[Any],
    *,
    metric: Metric | None,
    adapt: Adapt,
    accelerator: Accelerator,
) -> Evaluation:
    """Go through the validation data once, in evaluation mode; every module gets its mode back.

    Args:
        distiller: holds the student and the losses.
        source: the teacher; ``None`` if no loss needs one.
        loader: prepared by the accelerator where there are several processes.
        metric: per-sample scores of logits and targets; ``None`` to judge by the loss alone.
        adapt: turns what the loader yields into a batch.
        accelerator: knows device, precision and the other processes.
    """
    total = torch.zeros(4, dtype=torch.float64)
    with evaluating(distiller):
        for raw in loader:
            batch = adapt(move(raw, accelerator.device))
            with accelerator.autocast():
                captured = source(batch) if source is not None else None
                out = distiller(batch, captured)
            scores = None if metric is None else metric(distiller.read_output(out.student), batch.targets).double()
            count = 0 if scores is None else max(1, scores.numel())
            summed = 0.0 if scores is None else float(scores.sum() if scores.numel() else 0.0)
            total += torch.tensor([summed, count, float(out.loss) * batch.size, batch.size], dtype=torch.float64)
    totals = torch.as_tensor(accelerator.reduce(total.to(accelerator.device, torch.float32), "sum")).tolist()
    loss = totals[2] / max(1.0, totals[3])
    return Evaluation(totals[0] / totals[1] if metric is not None else -loss, loss, int(totals[1] or totals[3]))


@torch.no_grad()
def score(model: torch.nn.Module, loader: Iterable[Any], *, metric: Metric, adapt: Adapt, read_output: Any) -> float:
    """Mean metric of any model on a loader, on the device of its parameters and in evaluation mode."""
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    summed, count = 0.0, 0
    with evaluating(model):
        for raw in loader:
            batch = adapt(move(raw, device))
            scores = metric(read_output(call(model, batch.inputs)), batch.targets)
            summed, count = summed + float(scores.double().sum()), count + scores.numel()
    return summed / max(1, count)
