"""The loop: one or several students on the same batches, with one forward of the teacher and one read of the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from torch.utils.data import IterableDataset

from limbeck.batch import Batch, move
from limbeck.distiller.distiller import DistillOutput
from limbeck.errors import DataError, RecipeError
from limbeck.progress import ProgressBar
from limbeck.training.candidate import Candidate
from limbeck.training.divergence import Diverged
from limbeck.training.evaluation import Evaluation, evaluate
from limbeck.training.interrupt import Interrupted, PatientInterrupt
from limbeck.training.private_loader import Share, accelerate_deals, begin_epoch, private
from limbeck.training.processes import agreed
from limbeck.training.sharing import asked_once, drawn, own_copy, seed_student
from limbeck.training.surroundings import undisturbed

# How often a loss is looked at, and Ctrl-C answered, where that waits for the device or for other processes.
_ASK_EVERY = 10


class Outcome(NamedTuple):
    """What came of a candidate.

    Attributes:
        evaluation: the best one; ``None`` without validation data.
        diverged: the error, if the loss became infinite or NaN.
    """

    evaluation: Evaluation | None
    diverged: Diverged | None


class _Data(NamedTuple):
    train: Iterable[Any]
    held: Iterable[Any] | None


Moved = list[tuple[Candidate, DistillOutput]]


class SideBySide:
    """Trains several students on the same batches.

    Every batch is read once and every source asked once for it, whatever the number of students. Each candidate is what
    it would be if it were trained alone, to the last bit: it has its own optimizer, scaler and state, and before each
    of its steps the generators are seeded by seed, epoch and batch. One that diverges leaves, the others go on. In
    several processes candidates are trained one after the other.

    So a training resumed from its checkpoint equals an uninterrupted one; the caller's generators are given back as
    they were. Of several processes each has its own, but for the order of the data.

    Args:
        candidates: with the same seed, precision and accumulation, and the same ``adapt``; each with an accelerator of
            its own, as it has when none is given.

    Raises:
        RecipeError: if they differ in what they share.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from limbeck.balancers import Fixed
        >>> from limbeck.distiller import Distiller
        >>> from limbeck.outputs import SoftLabels
        >>> from limbeck.recipe import Settings
        >>> from limbeck.teachers import Teacher
        >>> from limbeck.training.length import Length
        >>> data = [(torch.randn(8, 4), torch.randint(0, 3, (8,))) for _ in range(4)]
        >>> settings = Settings(steps=8)
        >>> def candidate(source, lr):
        ...     balancer = Fixed(["output"], output=1.0)
        ...     distiller = Distiller(nn.Linear(4, 3), outputs=[SoftLabels()], balancer=balancer)
        ...     return Candidate(distiller, source, settings=settings, lr=lr, length=Length.of(settings, 4), label=None)
        >>> with Teacher(nn.Linear(4, 3)) as source:
        ...     side_by_side = SideBySide([candidate(source, lr) for lr in (0.01, 0.1)])
        ...     outcomes = side_by_side.fit(data, data)
        >>> [outcome.diverged for outcome in outcomes]
        [None, None]
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates = tuple(candidates)
        first = self.candidates[0]
        self.seed, self.accelerator, self.adapt = first.settings.seed, first.accelerator, first.adapt
        for name, values in {
            "seed": {each.settings.seed for each in self.candidates},
            "precision": {each.accelerator.mixed_precision for each in self.candidates},
            "accumulate": {each.settings.accumulate for each in self.candidates},
            "adapt": {id(each.adapt) for each in self.candidates},
        }.items():
            if len(values) > 1:
                raise RecipeError(
                    f"Candidates that share their batches need the same {name}. Found {len(values)} different ones. "
                    "Give all of them the same, or train them one after the other."
                )
        if len({id(each.accelerator) for each in self.candidates}) < len(self.candidates):
            raise RecipeError(
                "Candidates need an accelerator each, which holds their scaler and their checkpoint. Found one that "
                "several share. Leave accelerator= out."
            )

    def fit(
        self, train: Iterable[Any], validation: Iterable[Any] | None = None, *, resume: bool = False
    ) -> list[Outcome]:
        """Train; each student ends with the weights of its best evaluation.

        Args:
            train: loader to train with.
            validation: loader to select with, or ``None``.
            resume: whether to go on from the checkpoints, which need not have come equally far.

        Raises:
            Interrupted: on Ctrl-C, after the states are saved.
            DataError: if the inputs are not finite, or no batch is large enough for the losses.
        """
        if len(self.candidates) > 1 and self.accelerator.num_processes > 1:
            return [SideBySide([each]).fit(train, validation, resume=resume)[0] for each in self.candidates]
        with undisturbed(), self._without_gradients(), PatientInterrupt() as interrupt, self._bar() as bar:
            held = None if validation is None else self._dealt(validation, even=False)
            data = _Data(self._dealt(train, even=True), held)
            for each in self.candidates:
                each.begin(resume=resume)
            bar.done = min(each.state.step for each in self.candidates)
            while any(each.runs for each in self.candidates):
                self._pass(data, interrupt, bar)
            # Asked for while the last look at validation was taken.
            if agreed(self.accelerator, interrupt.asked)[0]:
                self._stop()
            for each in self.candidates:
                each.end()
        # It has the loaders too; the other accelerators are the candidates' own and go with them.
        self.accelerator.free_memory()
        return [Outcome(each.state.evaluation, each.diverged) for each in self.candidates]

    @contextmanager
    def _without_gradients(self) -> Iterator[None]:
        """However the training ends, no gradients are left, and none that the student came with take part."""
        for each in self.candidates:
            each.distiller.zero_grad()
        try:
            yield
        finally:
            for each in self.candidates:
                each.distiller.zero_grad()

    def _dealt(self, loader: Iterable[Any], *, even: bool) -> Iterable[Any]:
        """A loader of this process's share, with the user's own left as it is."""
        accelerator, mine = self.accelerator, private(loader, self.seed)
        stream = isinstance(getattr(mine, "dataset", None), IterableDataset)
        # Where steps may differ in number, no sample may be repeated to fill up; of a stream accelerate always does.
        if accelerate_deals(mine, accelerator.num_processes) and (even or not stream):
            accelerator.even_batches = even
            # A batch is moved by the loop, which leaves its keys where they are; of a stream, whose batches the first
            # process hands out, accelerate must move it.
            return accelerator.prepare(mine, device_placement=[stream])
        if accelerator.num_processes == 1:
            return mine
        return Share(mine, accelerator.process_index, accelerator.num_processes, even=even)

    def _bar(self) -> ProgressBar:
        label = self.candidates[0].label
        show = label is not None and self.accelerator.is_main_process
        return ProgressBar(label or "", max(each.length.steps for each in self.candidates), show=show)

    def _pass(self, data: _Data, interrupt: PatientInterrupt, bar: ProgressBar) -> None:
        """One pass over the training data, or what is left of it, for those that have come least far."""
        running = [each for each in self.candidates if each.runs]
        epoch = min(each.state.epoch for each in running)
        turn = [each for each in running if each.state.epoch == epoch]
        before = [(each.state.step, each.state.batch) for each in turn]
        begin_epoch(data.train, epoch)
        for index, raw in drawn(data.train, self.seed, epoch, self.accelerator.process_index):
            # A resumed pass draws the batches that were used before once more, so that data, order and augmentation
            # are those of the uninterrupted training.
            taking = [each for each in turn if each.runs and each.state.batch == index]
            if taking:
                moved = self._steps(taking, raw, epoch, index)
                self._after(moved, data.held, interrupt, bar)
            if not any(each.runs for each in turn):
                return
        for each, (step, batch) in zip(turn, before, strict=True):
            if each.runs:
                _next_pass(each, empty=batch == 0 and each.state.step == step)

    def _steps(self, taking: list[Candidate], raw: Any, epoch: int, index: int) -> Moved:
        """Every candidate's step on a batch, and what was made of it where the step is whole."""
        batch: Batch = self.adapt(move(raw, self.accelerator.device))
        for each in taking:
            if not each.fits(batch):
                each.skip()
        taking = [each for each in taking if each.fits(batch)]
        answered = asked_once([each.source for each in taking], batch, self.accelerator)
        moved: Moved = []
        for each in taking:
            seed_student(self.seed, epoch, index, self.accelerator.process_index)
            out = each.step(own_copy(batch, len(taking)), answered.get(id(each.source)))
            if out is not None:
                moved.append((each, out))
        return moved

    def _after(self, moved: Moved, held: Iterable[Any] | None, interrupt: PatientInterrupt, bar: ProgressBar) -> None:
        """What follows a step: the losses looked at, validation, a row of history, a checkpoint."""
        due = asked = False
        if any(each.looks or each.cheap_to_ask or each.state.step % _ASK_EVERY == 0 for each, _ in moved):
            faulty = [each.faulty for each, _ in moved]
            due, asked, *faulty = agreed(self.accelerator, any(e.due for e, _ in moved), interrupt.asked, *faulty)
            for (each, _), fails in zip(moved, faulty, strict=True):
                if fails:
                    each.fail()
        moved = [(each, out) for each, out in moved if each.diverged is None]
        found = self._judged([each for each, _ in moved if each.looks], held)
        for each, out in moved:
            each.record(out, found.get(id(each)))
        if moved:
            best = [each.state.evaluation.metric for each in self.candidates if each.state.evaluation is not None]
            bar.advance(note=f"best validation {max(best):.4f}" if best else "")
        if asked:
            self._stop()
        if due:
            self._save()

    def _judged(self, looking: list[Candidate], held: Iterable[Any] | None) -> dict[int, Evaluation]:
        """A look at the validation data for all whose turn it is."""
        if not looking or held is None:
            return {}
        with ExitStack() as averages:
            judges = [averages.enter_context(each.judging()) for each in looking]
            found = evaluate(judges, held, adapt=self.adapt, seed=self.seed)
            for each, evaluation in zip(looking, found, strict=True):
                each.judge(evaluation)
        return {id(each): evaluation for each, evaluation in zip(looking, found, strict=True)}

    def _stop(self) -> None:
        self._save()
        first = next((each for each in self.candidates if each.runs), self.candidates[0])
        raise Interrupted(f"Stopped at step {first.state.step} of {first.length.steps}.{first.saved_in}")

    def _save(self) -> None:
        for each in self.candidates:
            if each.diverged is None:
                each.save()


def _next_pass(candidate: Candidate, *, empty: bool) -> None:
    # A pass that was resumed may have nothing left.
    if empty:
        raise DataError(
            "A whole pass over the training data gave no step. The losses need at least "
            f"{candidate.distiller.minimum_batch} samples in a batch. Use larger batches, or other losses."
        )
    candidate.state.epoch, candidate.state.batch = candidate.state.epoch + 1, 0
