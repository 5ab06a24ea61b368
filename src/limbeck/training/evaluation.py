"""How good a student is on held-out data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from limbeck.batch import Adapt, Batch, ReadOutput, call, device_of, logits_of, move
from limbeck.capture.capture import Captured
from limbeck.distiller.distiller import Distiller
from limbeck.errors import DataError
from limbeck.evaluating import evaluating
from limbeck.outputs import OwnLoss
from limbeck.progress import ProgressBar
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.loaders import batch_count, lent
from limbeck.training.metrics import Metric
from limbeck.training.private_loader import begin_epoch
from limbeck.training.reading import read
from limbeck.training.sharing import asked_once, drawn, own_copy, seed_student
from limbeck.training.stepping import autocast

# The pass that looks at validation data, among the passes that are counted from 0.
_LOOK = 0x100C


class Evaluation(NamedTuple):
    """One look at the validation data.

    Attributes:
        metric: mean of the metric; where there is none, minus the student's own loss if it learns by it, else minus
            the loss; larger is better.
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


class Judge:
    """Measures one student, batch by batch, in evaluation mode.

    A batch with fewer samples than the losses need, such as the last one, counts for the metric only.

    Args:
        distiller: holds the student and the losses.
        source: the teacher; ``None`` if no loss needs one.
        metric: per-sample scores of logits and targets; ``None`` to judge by the student's own loss of its labels, or
            by the whole loss where there is none.
        accelerator: knows device, precision and the other processes.
    """

    def __init__(
        self, distiller: Distiller, source: FeatureSource | None, metric: Metric | None, accelerator: Accelerator
    ) -> None:
        self.distiller, self.source, self.metric, self.accelerator = distiller, source, metric, accelerator
        self._weights, self._fewest = distiller.judging_weights, distiller.minimum_batch
        self._own = own_losses(distiller) if metric is None else []
        # Sum of the scores and their number, sum of the losses and their number.
        self._total = torch.zeros(4, dtype=torch.float64)

    def asks(self, batch: Batch) -> FeatureSource | None:
        """The source whose answer to a batch is needed."""
        return self.source if batch.size >= self._fewest else None

    def see(self, batch: Batch, captured: Captured | None) -> None:
        """Measure a batch, for which the source gave ``captured``."""
        losses, output = self._judged(batch, captured)
        if self.metric is not None:
            scores = self.metric(self.distiller.read_output(output), self.distiller.labels(batch))
            self._total[:2] += torch.tensor([float(scores.cpu().double().sum()), scores.numel()], dtype=torch.float64)
        if losses is None:
            return
        # As in a balancer: a loss of weight zero may be infinite or NaN by right.
        loss = torch.where(self._weights > 0, losses * self._weights, 0.0).sum()
        self._total[2:] += torch.tensor([float(loss) * batch.size, batch.size], dtype=torch.float64)
        if self._own:
            own = -float(losses[self._own].sum())
            self._total[:2] += torch.tensor([own * batch.size, batch.size], dtype=torch.float64)

    def found(self) -> Evaluation:
        """The means over what all processes saw.

        Raises:
            DataError: if there was no batch that can be judged.
        """
        exact = torch.float32 if self.accelerator.device.type == "mps" else torch.float64
        total = self._total.to(self.accelerator.device, exact)
        totals = torch.as_tensor(self.accelerator.reduce(total, "sum")).tolist()
        scored, counted = totals[1], totals[3]
        if not counted or (self.metric is not None and not scored):
            needed = "a labelled answer" if counted else f"a batch of at least {self._fewest} samples"
            raise DataError(f"Validation needs {needed}. Found none. Use larger batches, or check the labels.")
        loss = totals[2] / counted
        if self.metric is None and not self._own:
            return Evaluation(-loss, loss, int(counted))
        return Evaluation(totals[0] / scored, loss, int(scored))

    def _judged(self, batch: Batch, captured: Captured | None) -> tuple[Tensor | None, Any]:
        """The losses on a batch, ``None`` if it is too small, and what the student returned."""
        with autocast(self.accelerator):
            if batch.size < self._fewest:
                return None, self.distiller.read_student(batch).output
            out = self.distiller(batch, captured)
        return out.terms, out.student


def own_losses(distiller: Distiller) -> list[int]:
    """The places, among the losses of a distiller, of the student's own loss of its labels, where it acts."""
    first = len(distiller.terms)
    places = [first + index for index, each in enumerate(distiller.outputs) if isinstance(each, OwnLoss)]
    weights = distiller.judging_weights if places else ()
    return [place for place in places if weights[place] > 0]


@torch.no_grad()
def evaluate(judges: Sequence[Judge], loader: Iterable[Any], *, adapt: Adapt, seed: int = 0) -> list[Evaluation]:
    """Go through the validation data once for all judges, and ask each source once a batch; modes are given back.

    What is random, in the data or in a loss, is the same at every look, and for each judge what it would be alone.

    Args:
        judges: on one device.
        loader: prepared by the accelerator where there are several processes.
        adapt: turns what the loader yields into a batch.
        seed: of everything random.

    Raises:
        DataError: if there is no batch that can be judged.
    """
    accelerator = judges[0].accelerator
    begin_epoch(loader, 0)
    with ExitStack() as modes:
        for judge in judges:
            modes.enter_context(evaluating(judge.distiller))
        for index, raw in drawn(loader, seed, _LOOK, accelerator.process_index, name="validation"):
            batch = adapt(move(raw, accelerator.device))
            answered = asked_once([judge.asks(batch) for judge in judges], batch, accelerator)
            for judge in judges:
                seed_student(seed, _LOOK, index, accelerator.process_index)
                judge.see(own_copy(batch, len(judges)), answered.get(id(judge.source)))
        return [judge.found() for judge in judges]


def answers(
    model: nn.Module | FeatureSource,
    batches: Iterable[Batch],
    read_output: ReadOutput,
    *,
    bar: ProgressBar | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Logits and targets of every batch, of a model in evaluation mode on the device of its parameters.

    Args:
        model: gets its modes back when the last batch is done; or a source of its answers, such as a cache.
        batches: what to run it on.
        read_output: takes the logits from what the model returned.
        bar: is moved on with every batch.
    """
    given = _run(model, batches, read_output) if isinstance(model, nn.Module) else _read(model, batches, read_output)
    for logits, targets in given:
        yield logits, targets
        if bar is not None:
            bar.advance()


def _run(model: nn.Module, batches: Iterable[Batch], read_output: ReadOutput) -> Iterator[tuple[Any, Any]]:
    device = device_of(model)
    with evaluating(model):
        for batch in batches:
            placed = move(batch, device)
            with torch.no_grad():
                logits = read_output(call(model, placed.for_teacher.inputs))
            yield logits, placed.targets


def _read(source: FeatureSource, batches: Iterable[Batch], read_output: ReadOutput) -> Iterator[tuple[Any, Any]]:
    for batch in batches:
        yield move(logits_of(source(batch).output, read_output), "cpu"), move(batch.targets, "cpu")


def score(
    model: nn.Module | FeatureSource,
    loader: Iterable[Any],
    *,
    metric: Metric,
    adapt: Adapt,
    read_output: ReadOutput,
    label: str | None = None,
) -> float:
    """Mean metric of a teacher, or of what is cached of it, on a loader; with a progress bar if there is a label.

    Where a batch has other inputs for a teacher, the model gets these.

    Raises:
        DataError: if nothing in the loader can be measured.
    """
    summed, count = 0.0, 0
    bar = ProgressBar(label or "", batch_count(loader) or 0, show=label is not None)
    with bar, lent(loader) as mine:
        for logits, targets in answers(model, map(adapt, read(mine, "validation")), read_output, bar=bar):
            scores = metric(logits, targets).cpu().double()
            summed, count = summed + float(scores.sum()), count + scores.numel()
    if count == 0:
        raise DataError("A score needs at least one labelled answer. Found none in the data. Check its labels.")
    return summed / count
