"""Two models and their data, looked at once before anything is chosen."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import limbeck.similarity
from limbeck.batch import Adapt, Batch, ReadOutput, adapt_batch, move, read_logits, unwrap
from limbeck.capture import Anatomy, probe
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.errors import LimbeckError, ModelError
from limbeck.evaluating import evaluating
from limbeck.planning.build import build, fit_targets
from limbeck.planning.costs import measure_costs
from limbeck.planning.plan import Plan
from limbeck.planning.planner import Facts, make_plan, mapper_of
from limbeck.progress import ProgressBar
from limbeck.recipe.recipe import Recipe
from limbeck.similarity.family import Similarity
from limbeck.teachers.live import Teacher
from limbeck.training.loaders import first_batches, hold_out, sample_count

BATCHES = 8


@dataclass(frozen=True)
class Pair:
    """Teacher, student and data, with what was learnt of them.

    Attributes:
        teacher: runs, is not trained.
        student: is trained.
        train: loader to train with, without what is held out.
        validation: loader to validate with, or ``None``.
        batches: the first few batches, on the device.
        facts: of data and outputs.
        teacher_anatomy: the teacher's sites.
        student_anatomy: the student's sites.
        adapt: turns what a loader yields into a batch.
        read_output: takes the logits from what a model returned.
    """

    teacher: nn.Module
    student: nn.Module
    train: Iterable[Any]
    validation: Iterable[Any] | None
    batches: tuple[Batch, ...]
    facts: Facts
    teacher_anatomy: Anatomy
    student_anatomy: Anatomy
    adapt: Adapt
    read_output: ReadOutput

    @classmethod
    def look(
        cls,
        teacher: nn.Module,
        student: nn.Module,
        train: Iterable[Any],
        validation: Iterable[Any] | None = None,
        *,
        adapt: Adapt | None = None,
        output: ReadOutput | None = None,
        layouts: Mapping[str, str] | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
        show: bool = True,
    ) -> Pair:
        """Read the first batches and probe both models with them.

        Raises:
            DataError: if the loader is empty or its inputs are not finite.
            ModelError: if a model does not run on the batch; says which.
        """
        adapt, read_output = adapt or adapt_batch, output or read_logits
        notes: list[Choice] = []
        if validation is None:
            split = hold_out(train, seed=seed)
            if split is None:
                notes.append(Choice("validation", "none", "the training data is a stream or too small to hold out of"))
            else:
                train, validation = split
                held = len(split[1].dataset)  # pyright: ignore[reportArgumentType]
                notes.append(
                    Choice("validation", f"{held} samples", "10 % of the training data held out, as none was given")
                )
        batches = tuple(move(batch, device) for batch in first_batches(train, adapt, BATCHES))
        teacher.to(device)
        student.to(device)
        anatomies = {}
        with ProgressBar("Looking at the models", 2, show=show) as bar:
            for side, model in (("teacher", teacher), ("student", student)):
                try:
                    anatomies[side] = probe(model, batches[0], layouts=layouts, output=read_output)
                except ModelError as error:
                    raise ModelError(f"The {side} does not run on the training data: {error}") from error
                bar.advance(note=f"{side} read")
        facts = Facts(
            batch=batches[0],
            samples=sample_count(train),
            labelled=batches[0].targets is not None,
            student_shape=_shape(anatomies["student"]),
            teacher_shape=_shape(anatomies["teacher"]),
            takes_labels=_takes_labels(student, batches[0]),
            notes=tuple(notes),
        )
        return cls(
            teacher,
            student,
            train,
            validation,
            batches,
            facts,
            anatomies["teacher"],
            anatomies["student"],
            adapt,
            read_output,
        )

    def plan(self, recipe: Recipe, *, names: tuple[str, str] | None = None, show: bool = True) -> Plan:
        """A plan for this pair, with what it costs.

        Args:
            recipe: what to resolve.
            names: of student and teacher, for people; their class names if not given.
            show: whether to show a progress bar on a terminal.
        """
        names = names or (type(self.student).__name__, type(self.teacher).__name__)
        scores = self._scores(recipe) if recipe.features and mapper_of(recipe).needs_scores else None
        plan = make_plan(recipe, self.student_anatomy, self.teacher_anatomy, self.facts, names=names, scores=scores)
        with Teacher(self.teacher, plan.teacher_sites) as source, ProgressBar("Planning", 3, show=show) as bar:
            distiller = build(plan, self.student, total_steps=1, read_output=self.read_output, task_loss=_stand_in)
            try:
                fit_targets(distiller, source, self.batches)
                bar.advance(note="targets fitted")
                self.dry_run(distiller, source)
                bar.advance(note="measuring costs")
                costs = measure_costs(distiller, source, self.batches[0])
            finally:
                distiller.close()
        return plan.model_copy(update={"costs": costs})

    def dry_run(self, distiller: Distiller, source: Teacher) -> None:
        """One step forward without training, so that what cannot work fails here.

        Raises:
            LimbeckError: from the part that cannot work.
        """
        try:
            with torch.no_grad(), evaluating(distiller):
                batch = next((b for b in self.batches if b.size >= distiller.minimum_batch), self.batches[0])
                out = distiller(batch, source(batch) if distiller.needs_teacher else None)
        except (RuntimeError, IndexError, TypeError) as error:
            raise LimbeckError(
                f"The plan does not run on the first batch: {error}. Check that labels are class numbers from 0 below "
                f"the student's {self.facts.student_shape and self.facts.student_shape[-1]} outputs, and that adapt "
                "and output read batch and answer rightly."
            ) from error
        bad = [name for name, value in zip(distiller.names, out.terms.tolist(), strict=True) if value != value]
        if bad:
            raise ModelError(
                f"Every loss must be a number on the first batch. Found NaN in {bad}. Check the models' weights."
            )

    def _scores(self, recipe: Recipe) -> Any:
        similarity: Similarity = recipe.similarity.build(limbeck.similarity)
        with (
            Teacher(self.teacher, self.teacher_anatomy.specs) as teacher,
            Teacher(self.student, self.student_anatomy.specs) as student,
        ):
            for batch in self.batches:
                similarity.update(student(batch).features, teacher(batch).features)
        return similarity.compute()


def _shape(anatomy: Anatomy) -> tuple[int, ...] | None:
    # The batch axis is left out of the comparison: probing may have used fewer samples of one model than of the other.
    return None if anatomy.output_shape is None else (0, *anatomy.output_shape[1:])


def _takes_labels(student: nn.Module, batch: Batch) -> bool:
    return isinstance(batch.inputs, Mapping) and "labels" in inspect.signature(unwrap(student).forward).parameters


def _stand_in(logits: Any, targets: Any) -> Any:
    """Stands for the user's own loss where a plan is only measured."""
    del targets
    return logits.float().square().mean()
