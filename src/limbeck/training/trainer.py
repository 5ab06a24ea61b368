"""The built-in training loop, on Hugging Face accelerate."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, is_initialized
from accelerate.utils import DataLoaderConfiguration
from torch.optim import Optimizer

from limbeck.batch import Adapt, Batch, adapt_batch, move
from limbeck.distiller.distiller import Distiller, DistillOutput
from limbeck.errors import DataError, LimbeckError, RecipeError
from limbeck.progress import ProgressBar
from limbeck.recipe.settings import Settings
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.evaluation import Evaluation, evaluate
from limbeck.training.history import History
from limbeck.training.interrupt import Interrupted, PatientInterrupt
from limbeck.training.length import Length
from limbeck.training.metrics import Metric
from limbeck.training.optimizers import MakeOptimizer, make_optimizer, rate_factor
from limbeck.training.randomness import own_randomness, seed_all
from limbeck.training.state import State


def make_accelerator(settings: Settings, device: str | torch.device | None = None) -> Accelerator:
    """An accelerator for these settings; the processes and their backend are the launcher's choice.

    On CUDA devices that can, bf16 is the default; on a CPU it is not, as autocast is slower there.

    Raises:
        RecipeError: if the device asked for is not the one that accelerate uses here.
    """
    precision = settings.precision
    if precision is None:
        fast = torch.cuda.is_available() and device != "cpu" and torch.cuda.is_bf16_supported()
        precision = "bf16" if fast else "no"
    # accelerate keeps one state a process and refuses another precision: a second training may want one.
    if is_initialized() and AcceleratorState().mixed_precision != precision:
        AcceleratorState._reset_state()
    accelerator = Accelerator(
        cpu=str(device) == "cpu",
        mixed_precision=precision,
        gradient_accumulation_steps=settings.accumulate,
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, data_seed=settings.seed),
    )
    wanted = None if device is None else torch.device(device)
    if wanted is not None and (
        wanted.type != accelerator.device.type or wanted.index not in {None, accelerator.device.index}
    ):
        raise RecipeError(
            f"Training was to run on '{wanted}'. Found that accelerate uses '{accelerator.device}' in this process. "
            "Make another device the visible one (CUDA_VISIBLE_DEVICES), launch with torchrun, or leave device out."
        )
    return accelerator


class Trainer:
    """Trains the student of a distiller.

    Every random number is drawn from generators seeded by seed, epoch and batch, so that a training resumed from its
    checkpoint equals an uninterrupted one; the caller's generators are given back as they were.

    Args:
        distiller: what is trained; its student in place.
        source: gives the teacher's side; ``None`` if no loss needs it.
        settings: length, rate, precision and so on.
        lr: highest learning rate.
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
        lr: float,
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
            DataError: if the loss is not finite, or no batch is large enough for the losses.
        """
        accelerator = self.accelerator
        self.distiller.to(accelerator.device)
        state = State(self.distiller.student, ema=self.settings.ema)
        optimizer = make_optimizer(self.distiller, self.settings, self.lr, self._make_optimizer)
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        model, optimizer, loader = accelerator.prepare(self.distiller, optimizer, train)
        held = accelerator.prepare(validation) if validation is not None else None
        if resume and self._checkpoint is not None and self._checkpoint.exists():
            self._checkpoint.load(state)
            self.history.cut(state.step)
        self.distiller.train()
        with own_randomness(), PatientInterrupt() as interrupt, self._bar(state) as bar:
            while state.step < self.length.steps and not state.finished:
                before = state.step
                for batch in self._epoch(loader, state):
                    self._set_rates(optimizer, rates, state.step)
                    out = self._step(model, optimizer, batch)
                    state.batch += 1
                    if accelerator.sync_gradients:
                        self._after_step(state, out, optimizer, held, bar)
                        if interrupt.asked:
                            self._interrupted(state)
                        if state.step >= self.length.steps or state.finished:
                            break
                else:
                    state.epoch, state.batch = state.epoch + 1, 0
                    if state.step == before:
                        raise DataError(
                            "A whole pass over the training data gave no step. The losses need at least "
                            f"{self.distiller.minimum_batch} samples in a batch. Use larger batches, or other losses."
                        )
        state.adopt(self.distiller.student)
        accelerator.free_memory()
        return state.evaluation

    def remove_checkpoint(self) -> None:
        """Delete the state of the training, once its result is kept elsewhere."""
        if self._checkpoint is not None:
            self._checkpoint.remove()

    def _bar(self, state: State) -> ProgressBar:
        show = self.label is not None and self.accelerator.is_main_process
        bar = ProgressBar(self.label or "", self.length.steps, show=show)
        bar.done = state.step
        return bar

    def _epoch(self, loader: Iterable[Any], state: State) -> Iterator[Batch]:
        """The batches of the pass that are still to be used, with the generators seeded for each."""
        seed, epoch = self.settings.seed, state.epoch
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)  # pyright: ignore[reportAttributeAccessIssue]
        seed_all(seed, epoch, 0)
        iterator = iter(loader)
        index = 0
        while True:
            seed_all(seed, epoch, 2 * index + 1)
            try:
                raw = next(iterator)
            except StopIteration:
                return
            # A resumed pass draws the batches that were used before once more, so that data, order and augmentation
            # are those of the uninterrupted training.
            if index >= state.batch:
                batch = self.adapt(move(raw, self.accelerator.device))
                seed_all(seed, epoch, 2 * index + 2)
                if batch.size >= self.distiller.minimum_batch:
                    yield batch
                else:
                    state.batch += 1
            index += 1

    def _step(self, model: torch.nn.Module, optimizer: Optimizer, batch: Batch) -> DistillOutput:
        accelerator = self.accelerator
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

    def _after_step(
        self, state: State, out: DistillOutput, optimizer: Optimizer, held: Iterable[Any] | None, bar: ProgressBar
    ) -> None:
        state.step += 1
        self.distiller.step()
        if state.average is not None:
            state.average.update_parameters(self.distiller.student)
        last = state.step >= self.length.steps
        looks = state.step % self.length.every == 0 or last
        if looks or state.step == 1:
            row = self._row(state, out, optimizer.param_groups[0]["lr"])
            if looks and held is not None:
                row["validation"] = self._judge(state, held)
            self.history.add(**row)
        note = "" if state.evaluation is None else f"best validation {state.evaluation.metric:.4f}"
        bar.advance(note=note)
        if looks and not last and time.monotonic() - self._saved >= self._save_every:
            self.save(state)

    def _judge(self, state: State, held: Iterable[Any]) -> float:
        distiller = self.distiller
        with state.averaged(distiller.student):
            found = evaluate(
                distiller, self.source, held, metric=self.metric, adapt=self.adapt, accelerator=self.accelerator
            )
            state.judge(found, distiller.student)
        patience = self.length.patience
        state.finished = patience is not None and state.stale >= patience
        return found.metric

    def _row(self, state: State, out: DistillOutput, lr: float) -> dict[str, Any]:
        loss, *values = torch.cat([out.loss.detach().reshape(1), out.terms, out.weights]).tolist()
        names, count = self.distiller.names, len(out.terms)
        if not math.isfinite(loss):
            bad = next(
                (name for name, value in zip(names, values, strict=False) if not math.isfinite(value)), "the sum"
            )
            raise Diverged(
                f"The loss must be finite. Found {loss} at step {state.step} (first in '{bad}') with lr={self.lr:g}. "
                "Use a lower lr, or a smaller weight for that term."
            )
        return {
            "step": state.step,
            "epoch": state.epoch,
            "lr": lr,
            "loss": loss,
            "terms": dict(zip(names, values[:count], strict=True)),
            "weights": dict(zip(names, values[count:], strict=True)),
            "seconds": round(time.monotonic() - self._started, 3),
        }

    def _set_rates(self, optimizer: Optimizer, rates: list[float], step: int) -> None:
        factor = rate_factor(step, self.length.steps, self.settings)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
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
