"""The built-in training loop, on Hugging Face accelerate."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch.optim import Optimizer

from limbeck.batch import Adapt, Batch, adapt_batch, move
from limbeck.distiller.distiller import Distiller, DistillOutput
from limbeck.errors import DataError, LimbeckError
from limbeck.progress import ProgressBar
from limbeck.randomness import seed_all
from limbeck.recipe.settings import Settings
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.accelerating import make_accelerator
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.evaluation import Evaluation, evaluate
from limbeck.training.history import History
from limbeck.training.interrupt import Interrupted, PatientInterrupt
from limbeck.training.length import Length
from limbeck.training.loaders import batch_fault
from limbeck.training.metrics import Metric
from limbeck.training.optimizers import MakeOptimizer, make_optimizer, rate_factor
from limbeck.training.private_loader import Share, accelerate_deals, begin_epoch, private
from limbeck.training.processes import agreed
from limbeck.training.state import State
from limbeck.training.surroundings import frozen_statistics, undisturbed

# How often a loss is looked at, and Ctrl-C answered, where that waits for the device or for other processes.
_ASK_EVERY = 10


class _Run(NamedTuple):
    """What every step needs: what accelerate made of the parts, and the highest rate of each parameter group."""

    model: torch.nn.Module
    optimizer: Optimizer
    rates: list[float]
    train: Iterable[Any]
    held: Iterable[Any] | None
    interrupt: PatientInterrupt
    bar: ProgressBar


class Trainer:
    """Trains the student of a distiller.

    Every random number is drawn from generators seeded by seed, epoch and batch, so that a training resumed from its
    checkpoint equals an uninterrupted one; the caller's generators are given back as they were. Of several processes
    each has its own, but for the order of the data.

    The student is trained in training mode, with one exception: a batch norm that is in evaluation mode in a student
    that is itself in training mode was frozen by the user and stays so.

    Validation is judged by the metric, or by the loss under weights that do not change with schedule and balance
    (:attr:`~limbeck.distiller.Distiller.judging_weights`). While a schedule still holds the outputs back, it is
    measured but not judged: neither kept as the best nor counted as a look without improvement.

    Args:
        distiller: what is trained; its student in place.
        source: gives the teacher's side; ``None`` if no loss needs it.
        settings: length, rate, precision and so on.
        lr: highest learning rate; ``None`` for the rates that ``optimizer`` comes with, which are then what the
            warm-up and the decay multiply.
        length: how many steps.
        metric: what validation measures; ``None`` for the loss.
        adapt: turns what the loader yields into a batch.
        optimizer: function from parameter groups to an optimizer, instead of the settings' one.
        accelerator: made from the settings if not given.
        checkpoint: folder for the state of an unfinished training; ``None`` for none.
        save_every: least number of seconds between two checkpoints.
        history: rows are added to it.
        label: what the progress bar is called; ``None`` hides it.
    """

    def __init__(  # noqa: PLR0913 - what a training consists of
        self,
        distiller: Distiller,
        source: FeatureSource | None,
        *,
        settings: Settings,
        lr: float | None,
        length: Length,
        metric: Metric | None = None,
        adapt: Adapt = adapt_batch,
        optimizer: MakeOptimizer | None = None,
        accelerator: Accelerator | None = None,
        checkpoint: Path | None = None,
        save_every: float = 15.0,
        history: History | None = None,
        label: str | None = "Training",
    ) -> None:
        self.distiller, self.source = distiller, source if distiller.needs_teacher else None
        self.settings, self.lr, self.length = settings, lr, length
        self.metric, self.adapt = metric, adapt
        self.accelerator = accelerator or make_accelerator(settings)
        self.history = history if history is not None else History()
        self.label = label
        self._make_optimizer = optimizer
        self._checkpoint = None if checkpoint is None else Checkpoint(checkpoint, self.accelerator)
        self._save_every = save_every
        self._saved = self._started = time.monotonic()

    def fit(
        self, train: Iterable[Any], validation: Iterable[Any] | None = None, *, resume: bool = False
    ) -> Evaluation | None:
        """Train; the student ends with the weights of the best evaluation.

        Returns:
            The best evaluation, or ``None`` without validation data.

        Raises:
            Interrupted: on Ctrl-C, after the state is saved.
            Diverged: if the loss is not finite.
            DataError: if the inputs are not finite, or no batch is large enough for the losses.
        """
        with undisturbed(), PatientInterrupt() as interrupt, self._bar() as bar:
            self.distiller.to(self.accelerator.device)
            state = State(self.distiller.student, ema=self.settings.ema)
            run = self._prepared(train, validation, interrupt, bar)
            if resume:
                if self._checkpoint is not None and self._checkpoint.exists():
                    self._checkpoint.load(state)
                self.history.cut(state.step)
            bar.done = state.step
            frozen = frozen_statistics(self.distiller.student)
            self.distiller.train()
            for norm in frozen:
                norm.eval()
            while state.step < self.length.steps and not state.finished:
                self._pass(run, state)
            state.adopt(self.distiller.student)
        self.accelerator.free_memory()
        return state.evaluation

    def remove_checkpoint(self) -> None:
        """Delete the state of the training, once its result is kept elsewhere."""
        if self._checkpoint is not None:
            self._checkpoint.remove()

    def _prepared(
        self, train: Iterable[Any], validation: Iterable[Any] | None, interrupt: PatientInterrupt, bar: ProgressBar
    ) -> _Run:
        optimizer = make_optimizer(self.distiller, self.settings, self.lr, self._make_optimizer)
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        model, optimizer = self.accelerator.prepare(self.distiller, optimizer)
        held = None if validation is None else self._dealt(validation, even=False)
        return _Run(model, optimizer, rates, self._dealt(train, even=True), held, interrupt, bar)

    def _dealt(self, loader: Iterable[Any], *, even: bool) -> Iterable[Any]:
        """A loader of this process's share, with the user's own left as it is."""
        accelerator, mine = self.accelerator, private(loader, self.settings.seed)
        if accelerate_deals(mine, accelerator.num_processes):
            return accelerator.prepare(mine)
        if accelerator.num_processes == 1:
            return mine
        return Share(mine, accelerator.process_index, accelerator.num_processes, even=even)

    def _pass(self, run: _Run, state: State) -> None:
        """One pass over the training data, or what is left of it and of the training."""
        before, whole = state.step, state.batch == 0
        for batch in self._epoch(run.train, state):
            self._set_rates(run, state.step)
            out = self._step(run, batch)
            state.batch += 1
            if self.accelerator.sync_gradients:
                self._after_step(run, state, batch, out)
                if state.step >= self.length.steps or state.finished:
                    return
        state.epoch, state.batch = state.epoch + 1, 0
        # A pass that was resumed may have nothing left.
        if whole and state.step == before:
            raise DataError(
                "A whole pass over the training data gave no step. The losses need at least "
                f"{self.distiller.minimum_batch} samples in a batch. Use larger batches, or other losses."
            )

    def _bar(self) -> ProgressBar:
        show = self.label is not None and self.accelerator.is_main_process
        return ProgressBar(self.label or "", self.length.steps, show=show)

    def _epoch(self, loader: Iterable[Any], state: State) -> Iterator[Batch]:
        """The batches of the pass that are still to be used, with the generators seeded for each."""
        seed, epoch, rank = self.settings.seed, state.epoch, self.accelerator.process_index
        begin_epoch(loader, epoch)
        seed_all(seed, epoch, 0, rank)
        iterator = iter(loader)
        index = 0
        while True:
            seed_all(seed, epoch, 2 * index + 1, rank)
            try:
                raw = next(iterator)
            except StopIteration:
                return
            # A resumed pass draws the batches that were used before once more, so that data, order and augmentation
            # are those of the uninterrupted training.
            if index >= state.batch:
                batch = self.adapt(move(raw, self.accelerator.device))
                seed_all(seed, epoch, 2 * index + 2, rank)
                if batch.size >= self.distiller.minimum_batch:
                    yield batch
                else:
                    state.batch += 1
            index += 1

    def _step(self, run: _Run, batch: Batch) -> DistillOutput:
        accelerator, model, optimizer = self.accelerator, run.model, run.optimizer
        with accelerator.accumulate(model):
            with accelerator.autocast():
                captured = None if self.source is None else self.source(batch)
            out = model(batch, captured)
            accelerator.backward(out.loss)
            if accelerator.sync_gradients and self.settings.clip is not None:
                accelerator.clip_grad_norm_(model.parameters(), self.settings.clip)
            optimizer.step()
            optimizer.zero_grad()
        return out

    def _after_step(self, run: _Run, state: State, batch: Batch, out: DistillOutput) -> None:
        state.step += 1
        self.distiller.step()
        if state.average is not None:
            state.average.update_parameters(self.distiller.student)
        last = state.step >= self.length.steps
        looks = state.step % self.length.every == 0 or last
        due = looks and not last and time.monotonic() - self._saved >= self._save_every
        asked = False
        if looks or self._cheap_to_ask or state.step % _ASK_EVERY == 0:
            loss = out.loss.item()
            due, broken, asked = agreed(self.accelerator, due, not math.isfinite(loss), run.interrupt.asked)
            if broken:
                raise self._not_finite(state, batch, out, loss)
        if looks or state.step == 1:
            row = self._row(state, out, run.optimizer.param_groups[0]["lr"])
            if looks and run.held is not None:
                row["validation"] = self._judge(state, run.held)
            self.history.add(**row)
        run.bar.advance(note="" if state.evaluation is None else f"best validation {state.evaluation.metric:.4f}")
        if asked:
            self._interrupted(state)
        if due:
            self.save(state)

    @property
    def _cheap_to_ask(self) -> bool:
        """Whether reading the loss waits for nothing: no device that runs ahead, no other process."""
        return self.accelerator.device.type == "cpu" and self.accelerator.num_processes == 1

    def _judge(self, state: State, held: Iterable[Any]) -> float:
        distiller, patience = self.distiller, self.length.patience
        begin_epoch(held, 0)
        with state.averaged(distiller.student):
            found = evaluate(
                distiller, self.source, held, metric=self.metric, adapt=self.adapt, accelerator=self.accelerator
            )
            if distiller.answers_learnt or not distiller.trains_answers:
                state.judge(found, distiller.student)
        state.finished = patience is not None and state.stale >= patience
        return found.metric

    def _row(self, state: State, out: DistillOutput, lr: float) -> dict[str, Any]:
        loss, *values = torch.cat([out.loss.detach().reshape(1), out.terms, out.weights]).tolist()
        names, count = self.distiller.names, len(out.terms)
        return {
            "step": state.step,
            "epoch": state.epoch,
            "lr": lr,
            "loss": loss,
            "terms": dict(zip(names, values[:count], strict=True)),
            "weights": dict(zip(names, values[count:], strict=True)),
            "seconds": round(time.monotonic() - self._started, 3),
        }

    def _not_finite(self, state: State, batch: Batch, out: DistillOutput, loss: float) -> LimbeckError:
        """What is said of a loss that is not finite: what is wrong with the batch, or else with the rate."""
        if (fault := batch_fault(batch)) is not None:
            return DataError(f"The training data cannot be used at step {state.step}: {fault}")
        values = dict(zip(self.distiller.names, out.terms.tolist(), strict=True))
        bad = next((name for name, value in values.items() if not math.isfinite(value)), "the sum")
        where = "in another process" if math.isfinite(loss) else f"first in '{bad}'"
        rate = "the optimizer's own rate" if self.lr is None else f"lr={self.lr:g}"
        return Diverged(
            f"The loss must be finite. Found {loss} at step {state.step} ({where}) with {rate}. "
            "Use a lower lr, or a smaller weight for that term."
        )

    def _set_rates(self, run: _Run, step: int) -> None:
        factor = rate_factor(step, self.length.steps, self.settings)
        for group, rate in zip(run.optimizer.param_groups, run.rates, strict=True):
            group["lr"] = rate * factor

    def save(self, state: State) -> None:
        """Write a checkpoint."""
        if self._checkpoint is not None:
            self._checkpoint.save(state)
        self._saved = time.monotonic()

    def _interrupted(self, state: State) -> None:
        self.save(state)
        where = "" if self._checkpoint is None else f" Its state is saved in '{self._checkpoint.path.parent}'."
        raise Interrupted(f"Stopped at step {state.step} of {self.length.steps}.{where}")


class Diverged(LimbeckError):
    """The loss became infinite or NaN."""
