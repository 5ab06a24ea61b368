"""One student in training: what it is trained by, how far it is, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from limbeck.batch import Adapt, Batch, adapt_batch
from limbeck.capture.capture import Captured
from limbeck.distiller.distiller import Distiller, DistillOutput
from limbeck.recipe.settings import Settings
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.accelerating import find_unused_parameters, make_accelerator
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.divergence import Diverged, LossWatch
from limbeck.training.evaluation import Evaluation, Judge
from limbeck.training.history import History
from limbeck.training.length import Length
from limbeck.training.metrics import Metric
from limbeck.training.optimizers import MakeOptimizer, make_optimizer, rate_factor
from limbeck.training.state import State
from limbeck.training.stepping import cheap_to_ask, step_for
from limbeck.training.surroundings import into_training

# Writing checkpoints takes at most a twentieth of the time: our choice.
_TRAINED_TO_SAVED = 20


class Candidate:
    """A student that is trained alone (:class:`~limbeck.training.Trainer`) or beside others on the same batches.

    It has an optimizer, a scaler, a state and a history of its own; :class:`~limbeck.training.SideBySide` hands it the
    batches.

    The student is trained in training mode, with one exception: a batch norm that is in evaluation mode in a student
    that is itself in training mode was frozen by the user and stays so.

    Validation is judged by the metric, or by the loss under weights that do not change with schedule and balance
    (:attr:`~limbeck.distiller.Distiller.judging_weights`). While a schedule still holds the outputs back, it is
    measured but not judged: neither kept as the best nor counted as a look without improvement.

    Args:
        distiller: what is trained; its student in place.
        source: gives the teacher's side; ``None`` if no loss needs it. Candidates with the same source share what it
            gives, so it must read the sites of all of them.
        settings: length, rate, precision and so on.
        lr: highest learning rate; ``None`` for the rates that ``optimizer`` comes with, which are then what the
            warm-up and the decay multiply.
        length: how many steps.
        metric: what validation measures; ``None`` for the loss.
        adapt: turns what the loader yields into a batch.
        optimizer: function from parameter groups to an optimizer, instead of the settings' one.
        accelerator: made from the settings if not given; candidates side by side have one each.
        checkpoint: folder for the state of an unfinished training; ``None`` for none.
        save_every: least number of seconds between two checkpoints; longer where writing one takes long.
        history: rows are added to it.
        label: what the progress bar is called; ``None`` hides it.

    Attributes:
        state: how far the training is, once it has begun.
        diverged: the error of a training whose loss became infinite or NaN.
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
        self.state = State(distiller.student)
        self.diverged: Diverged | None = None
        self._make_optimizer = optimizer
        self._checkpoint = None if checkpoint is None else Checkpoint(checkpoint, self.accelerator)
        self._save_every = save_every
        self._saved = self._started = time.monotonic()

    def begin(self, *, resume: bool = False) -> None:
        """Put everything in place, as it was left if the training is resumed."""
        self.diverged = None
        self.distiller.to(self.accelerator.device)
        self.state = State(self.distiller.student, ema=self.settings.ema)
        made = make_optimizer(self.distiller, self.settings, self.lr, self._make_optimizer)
        self._rates = [float(group["lr"]) for group in made.param_groups]
        if self.distiller.leaves_parameters_out:
            find_unused_parameters(self.accelerator)
        model, self._optimizer = self.accelerator.prepare(self.distiller, made)
        self._step = step_for(model, self._optimizer, self.settings.clip, self.accelerator)
        self._watch = LossWatch(at_once=self.cheap_to_ask)
        self._fewest = self.distiller.minimum_batch
        if resume:
            if self._checkpoint is not None and self._checkpoint.exists():
                self._checkpoint.load(self.state)
            self.history.cut(self.state.step)
        into_training(self.distiller)

    @property
    def cheap_to_ask(self) -> bool:
        """Whether reading the loss waits for nothing."""
        return cheap_to_ask(self.accelerator)

    @property
    def runs(self) -> bool:
        """Whether there are steps left to make."""
        return self.diverged is None and self.state.step < self.length.steps and not self.state.finished

    @property
    def last(self) -> bool:
        """Whether the last step is made."""
        return self.state.step >= self.length.steps

    @property
    def looks(self) -> bool:
        """Whether a row is written and validation measured after this step."""
        return self.last or self.state.step % self.length.every == 0

    @property
    def due(self) -> bool:
        """Whether a checkpoint should be written after this step."""
        return not self.last and time.monotonic() - self._saved >= self._save_every

    @property
    def faulty(self) -> bool:
        """Whether a loss was not finite; waits for the device."""
        return self._watch.faulty()

    def fits(self, batch: Batch) -> bool:
        """Whether every loss can be computed on a batch."""
        return batch.size >= self._fewest

    def skip(self) -> None:
        """Count a batch that is too small as used."""
        self.state.batch += 1

    def step(self, batch: Batch, captured: Captured | None) -> DistillOutput | None:
        """Train on a batch; ``None`` while gradients are still being summed, else what was made of it."""
        state = self.state
        factor = rate_factor(state.step, self.length.steps, self.settings)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        out = self._step(batch, captured)
        state.batch += 1
        self._watch.see(state.step + 1, batch, out)
        if not self._step.updated:
            return None
        state.step += 1
        self.distiller.step()
        if state.average is not None:
            state.average.update_parameters(self.distiller.student)
        return out

    def fail(self) -> None:
        """Take the candidate out of the training, as its loss was not finite.

        Raises:
            DataError: if the inputs or labels were not finite, which is nothing of this candidate's.
        """
        error = self._watch.error(self.distiller.names, self.lr, self.accelerator)
        if not isinstance(error, Diverged):
            raise error
        self.diverged = error

    @contextmanager
    def judging(self) -> Iterator[Judge]:
        """What measures the student; while entered, it has its averaged weights, if an average is kept."""
        with self.state.averaged(self.distiller.student):
            yield Judge(self.distiller, self.source, self.metric, self.accelerator)

    def judge(self, found: Evaluation) -> None:
        """Take note of a look at validation, while :meth:`judging`."""
        distiller, patience = self.distiller, self.length.patience
        if distiller.answers_learnt or not distiller.trains_answers:
            self.state.judge(found, distiller.student)
        self.state.finished = patience is not None and self.state.stale >= patience

    def record(self, out: DistillOutput, found: Evaluation | None) -> None:
        """Write a row, if it is time for one."""
        if not (self.looks or self.state.step == 1):
            return
        loss, *values = torch.cat([out.loss.detach().reshape(1), out.terms, out.weights]).tolist()
        names, count = self.distiller.names, len(out.terms)
        row: dict[str, Any] = {
            "step": self.state.step,
            "epoch": self.state.epoch,
            "lr": self._optimizer.param_groups[0]["lr"],
            "loss": loss,
            "terms": dict(zip(names, values[:count], strict=True)),
            "weights": dict(zip(names, values[count:], strict=True)),
            "seconds": round(time.monotonic() - self._started, 3),
        }
        self.history.add(**row, **({} if found is None else {"validation": found.metric}))

    def save(self) -> None:
        """Write a checkpoint."""
        began = time.monotonic()
        if self._checkpoint is not None:
            self._checkpoint.save(self.state)
        self._saved = time.monotonic()
        self._save_every = max(self._save_every, _TRAINED_TO_SAVED * (self._saved - began))

    @property
    def saved_in(self) -> str:
        """Where the state of the training is, as a sentence."""
        return "" if self._checkpoint is None else f" Its state is saved in '{self._checkpoint.path.parent}'."

    def end(self) -> None:
        """Give the student the weights that training chose, and let the optimizer go."""
        self.state.adopt(self.distiller.student)
        del self._step, self._optimizer
