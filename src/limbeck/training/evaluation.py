"""How good a student is on held-out data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from limbeck.batch import Adapt, Batch, ReadOutput, call, move
from limbeck.distiller.distiller import Distiller
from limbeck.errors import DataError
from limbeck.evaluating import evaluating
from limbeck.progress import ProgressBar
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.loaders import batch_count
from limbeck.training.metrics import Metric


class Evaluation(NamedTuple):
    """One look at the validation data.

    Attributes:
        metric: mean of the metric, or minus the loss where there is no metric; larger is better.
        loss: the mean weighed loss, teacher included, by weights that stay the same during a training.
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

    A batch with fewer samples than the losses need, such as the last one, counts for the metric only.

    Args:
        distiller: holds the student and the losses.
        source: the teacher; ``None`` if no loss needs one.
        loader: prepared by the accelerator where there are several processes.
        metric: per-sample scores of logits and targets; ``None`` to judge by the loss alone.
        adapt: turns what the loader yields into a batch.
        accelerator: knows device, precision and the other processes.

    Raises:
        DataError: if there is no batch that can be judged.
    """
    # Sum of the scores and their number, sum of the losses and their number.
    total, weights = torch.zeros(4, dtype=torch.float64), distiller.judging_weights
    with evaluating(distiller):
        for raw in loader:
            batch = adapt(move(raw, accelerator.device))
            loss, output = _judged(distiller, source, batch, weights, accelerator)
            if metric is not None:
                scores = metric(distiller.read_output(output), batch.targets)
                total[:2] += torch.tensor([float(scores.cpu().double().sum()), scores.numel()], dtype=torch.float64)
            if loss is not None:
                total[2:] += torch.tensor([float(loss) * batch.size, batch.size], dtype=torch.float64)
    exact = torch.float32 if accelerator.device.type == "mps" else torch.float64
    totals = torch.as_tensor(accelerator.reduce(total.to(accelerator.device, exact), "sum")).tolist()
    scored, counted = totals[1], totals[3]
    if not counted or (metric is not None and not scored):
        needed = "a labelled answer" if counted else f"a batch of at least {distiller.minimum_batch} samples"
        raise DataError(f"Validation needs {needed}. Found none. Use larger batches, or check the labels.")
    loss = totals[2] / counted
    if metric is None:
        return Evaluation(-loss, loss, int(counted))
    return Evaluation(totals[0] / scored, loss, int(scored))


def _judged(
    distiller: Distiller, source: FeatureSource | None, batch: Batch, weights: Tensor, accelerator: Accelerator
) -> tuple[Tensor | None, Any]:
    """The loss of a batch, ``None`` if it is too small, and what the student returned."""
    with accelerator.autocast():
        if batch.size < distiller.minimum_batch:
            return None, distiller.read_student(batch).output
        out = distiller(batch, None if source is None else source(batch))
    # As in a balancer: a loss of weight zero may be infinite or NaN by right.
    return torch.where(weights > 0, out.terms * weights, 0.0).sum(), out.student


def answers(
    model: nn.Module, batches: Iterable[Batch], read_output: ReadOutput, *, bar: ProgressBar | None = None
) -> Iterator[tuple[Any, Any]]:
    """Logits and targets of every batch, in evaluation mode and on the device of the model's parameters.

    Args:
        model: gets its modes back when the last batch is done.
        batches: what to run it on.
        read_output: takes the logits from what the model returned.
        bar: is moved on with every batch.
    """
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    with evaluating(model):
        for batch in batches:
            placed = move(batch, device)
            with torch.no_grad():
                logits = read_output(call(model, placed.inputs))
            yield logits, placed.targets
            if bar is not None:
                bar.advance()


def score(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    metric: Metric,
    adapt: Adapt,
    read_output: ReadOutput,
    label: str | None = None,
) -> float:
    """Mean metric of any model on a loader; with a progress bar of that label if there is one.

    Raises:
        DataError: if nothing in the loader can be measured.
    """
    summed, count = 0.0, 0
    with ProgressBar(label or "", batch_count(loader) or 0, show=label is not None) as bar:
        for logits, targets in answers(model, map(adapt, loader), read_output, bar=bar):
            scores = metric(logits, targets).cpu().double()
            summed, count = summed + float(scores.sum()), count + scores.numel()
    if count == 0:
        raise DataError("A score needs at least one labelled answer. Found none in the data. Check its labels.")
    return summed / count
