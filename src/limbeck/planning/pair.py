"""Two models and their data, looked at once before anything is chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

import limbeck.similarity
from limbeck.batch import Adapt, Batch, ReadOutput, adapt_batch, device_of, move, read_logits, tensors, unwrap
from limbeck.cache.keyed import AdaptKeyed
from limbeck.cache.keying import KeyedLoaders, Keys, key_loaders
from limbeck.capture import Anatomy
from limbeck.choice import Choice
from limbeck.context import Heads
from limbeck.distiller.distiller import Distiller
from limbeck.errors import DataError, LimbeckError, ModelError
from limbeck.evaluating import evaluating
from limbeck.outputs import Given, OutputLoss
from limbeck.planning.attention_sites import check_attention_sites
from limbeck.planning.build import build, fit_targets
from limbeck.planning.committees import CommitteePlan, answer_of, answer_shape, called, look_at_side
from limbeck.planning.costs import SAMPLES, measure_costs
from limbeck.planning.facts import Facts
from limbeck.planning.few_samples import Once, first_samples
from limbeck.planning.label_positions import NEXT, label_positions, takes_labels
from limbeck.planning.plan import Plan
from limbeck.planning.planner import make_plan, mapper_of
from limbeck.planning.require_models import require_models
from limbeck.planning.stated import Layouts, Sites, stated_layouts, stated_sites
from limbeck.planning.task import Task
from limbeck.progress import ProgressBar
from limbeck.recipe.recipe import Recipe
from limbeck.similarity.family import Similarity
from limbeck.teachers.committee import Committee
from limbeck.teachers.feature_source import FeatureSource
from limbeck.teachers.live import Teacher
from limbeck.teachers.renormalised import normalised_anew
from limbeck.training.holding_out import hold_out, why_not_held_out
from limbeck.training.loaders import first_batches, sample_count

BATCHES = 8
_FEWEST = 2
# Only what is looked at before training; the rest is read while it validates.
HELD_BATCHES = 2
# A plan is tried on as many samples as its costs are measured on; how well the statistics of targets are known does not
# matter for either.
PLANNED_SAMPLES = SAMPLES


@dataclass(frozen=True)
class Pair:
    """Teacher, student and data, with what was learnt of them.

    Attributes:
        teacher: runs, is not trained.
        student: is trained.
        train: loader to train with, without what is held out.
        validation: loader to validate with, or ``None``.
        batches: the first few batches, on the device.
        held: the first batches of the validation data, if there are any, on the device.
        facts: of data and outputs.
        teacher_anatomy: the teacher's sites.
        student_anatomy: the student's sites.
        adapt: turns what a loader yields into a batch.
        read_output: takes the logits from what a model returned.
        keyed: the loaders with what is known of their samples, if these are known by number.
    """

    teacher: nn.Module
    student: nn.Module
    train: Iterable[Any]
    validation: Iterable[Any] | None
    batches: tuple[Batch, ...]
    held: tuple[Batch, ...]
    facts: Facts
    teacher_anatomy: Anatomy
    student_anatomy: Anatomy
    adapt: Adapt
    read_output: ReadOutput
    keyed: KeyedLoaders | None = None

    @classmethod
    def look(  # noqa: PLR0913 - what is known of models and data can be said here
        cls,
        teacher: nn.Module,
        student: nn.Module,
        train: Iterable[Any],
        validation: Iterable[Any] | None = None,
        *,
        hold: bool = True,
        adapt: Adapt | None = None,
        output: ReadOutput | None = None,
        layouts: Layouts | None = None,
        sites: Sites | None = None,
        keys: Keys | None = None,
        seed: int = 0,
        device: torch.device | str | None = None,
        show: bool = True,
    ) -> Pair:
        """Read the first batches and probe both models with them.

        Args:
            teacher: any module.
            student: any module.
            train: loader of training batches.
            validation: loader of validation batches.
            hold: whether to hold out a share of the training data where there is no validation data.
            adapt: turns what a loader yields into a batch.
            output: takes the logits from what a model returned.
            layouts: axes of sites whose layout cannot be told; see :func:`~limbeck.planning.stated.stated_layouts`.
            sites: the sites to consider of a side, instead of those that are found.
            keys: how samples are known by number, where a cache or a loss needs that.
            seed: of what is held out.
            device: where to run both models; that of the student by default.
            show: whether to show a progress bar on a terminal.

        Raises:
            DataError: if a loader is none, is empty or its inputs are not finite.
            ModelError: if a model is none or does not run on the batch; says which.
        """
        require_models(teacher, student)
        adapt, read_output = adapt or adapt_batch, output or read_logits
        device = device if device is not None else device_of(student)
        samples, note = sample_count(train), None
        if validation is None and hold:
            train, validation, note = _divided(train, seed)
        keyed = None
        if keys is not None:
            keyed = key_loaders(train, validation, views=keys.views)
            train, validation, adapt = keyed.train, keyed.validation, AdaptKeyed(adapt)
        batches = tuple(move(each, device) for each in first_batches(train, adapt, BATCHES))
        if sum(each.size for each in batches) < _FEWEST:
            raise DataError(
                f"The training data must have at least {_FEWEST} samples, so that it can be seen what varies. Found "
                f"{sum(each.size for each in batches)}. Give more samples."
            )
        held: tuple[Batch, ...] = ()
        if validation is not None:
            held = tuple(
                move(each, device) for each in first_batches(validation, adapt, HELD_BATCHES, name="validation")
            )
        axes, names = stated_layouts(layouts, teacher, student), stated_sites(sites)
        anatomies = _probed(teacher.to(device), student.to(device), batches[0], axes, names, read_output, show)
        answer = answer_shape(anatomies["student"])
        task = Task.read(batches, answer, takes_labels=takes_labels(student, batches[0]))
        positions = label_positions(student, batches[0], task, read_output)
        task = replace(task, next_token=positions is not None and positions.value == NEXT)
        taught, joined = answer_shape(anatomies["teacher"]), None
        if isinstance(teacher, Committee):
            read_output, taught, joined = answer_of(teacher, anatomies["teacher"], answer, task, read_output)
        notes = (note, None if keyed is None else keyed.choice, positions, joined, *normalised_anew(teacher))
        facts = Facts(
            samples=samples,
            task=task,
            student_shape=answer,
            teacher_shape=taught,
            numbered=None if keyed is None else keyed.train_samples,
            other_tokens=batches[0].other_tokens,
            notes=tuple(each for each in notes if each is not None),
        )
        found = (facts, anatomies["teacher"], anatomies["student"])
        return cls(teacher, student, train, validation, batches, held, *found, adapt, read_output, keyed)

    @property
    def heads(self) -> Heads:
        """The last linear layers of both models, where they end in one."""
        found = ((self.student, self.student_anatomy), (self.teacher, self.teacher_anatomy))
        members = {name: _linear(self.teacher, each.head) for name, each in self.teacher_anatomy.members.items()}
        student, teacher = (_linear(model, anatomy.head) for model, anatomy in found)
        return Heads(student, teacher, members)

    def plan(
        self, recipe: Recipe, *, names: tuple[str, str] | None = None, own_loss: bool = False, show: bool = True
    ) -> Plan:
        """A plan for this pair, with what it costs.

        Args:
            recipe: what to resolve.
            names: of student and teacher, for people; their class names if not given.
            own_loss: whether the user gives the loss of the labels.
            show: whether to show a progress bar on a terminal.

        Raises:
            DataError: if labels are to be learnt that are of no known form.
            LimbeckError: if the recipe cannot be used on this pair.
        """
        plan = self.resolved(recipe, names=names, own_loss=own_loss)
        with Teacher(self.teacher, plan.teacher_sites) as source, ProgressBar("Planning", 3, show=show) as bar:
            distiller = build(
                plan, self.student, total_steps=1, read_output=self.read_output, task_loss=_stand_in, heads=self.heads
            )
            try:
                check_attention_sites(plan, self.student, self.teacher)
                usable = self._check(distiller, self.batches, "training")
                few = first_samples((usable, *self.batches), max(PLANNED_SAMPLES, distiller.minimum_batch))
                once = Once(source, few)
                fit_targets(distiller, once, few)
                bar.advance(note="targets fitted")
                self._try(distiller, once, few[0], "training")
                bar.advance(note="measuring costs")
                costs = measure_costs(distiller, source, self.batches[0], data_samples=self.facts.samples)
            finally:
                distiller.close()
        return plan.model_copy(update={"costs": costs})

    def resolved(self, recipe: Recipe, *, names: tuple[str, str] | None = None, own_loss: bool = False) -> Plan:
        """A plan for this pair that was neither tried nor measured; the arguments are those of :meth:`plan`."""
        names = names or (type(self.student).__name__, called(self.teacher))
        scores = self._scores(recipe) if recipe.features and mapper_of(recipe).needs_scores else None
        facts = replace(self.facts, own_loss=own_loss)
        anatomies = self.student_anatomy, self.teacher_anatomy
        return make_plan(recipe, *anatomies, facts, names=names, committee=self._committee, scores=scores)

    @property
    def _committee(self) -> CommitteePlan | None:
        """The teacher's members, if it has any."""
        found = self.teacher
        if not isinstance(found, Committee):
            return None
        return CommitteePlan(weights=dict(zip(found.members, found.weights, strict=True)), drop=found.drop)

    def dry_run(self, distiller: Distiller, source: FeatureSource) -> None:
        """One step forward without training, on training and on validation data, so that what cannot work fails here.

        Raises:
            DataError: if the batches are too small for the losses, or their labels cannot be learnt.
            LimbeckError: from the part that cannot work.
        """
        for name, batches in (("training", self.batches), ("validation", self.held)):
            if batches:
                self._try(distiller, source, self._check(distiller, batches, name), name)

    def _check(self, distiller: Distiller, batches: Sequence[Batch], name: str) -> Batch:
        """Look at batches without running anything; returns the first that is large enough for the losses."""
        reading = [each for each in distiller.outputs if not isinstance(each, Given)]
        if any("targets" in each.requires for each in reading if isinstance(each, OutputLoss)):
            self.facts.task.check_labels(batches, name)
        usable = next((batch for batch in batches if batch.size >= distiller.minimum_batch), None)
        if usable is None:
            raise DataError(
                f"The losses need at least {distiller.minimum_batch} samples in a batch. Found "
                f"{max(batch.size for batch in batches)} in the {name} data. Use larger batches, or other losses."
            )
        return usable

    def _try(self, distiller: Distiller, source: FeatureSource, batch: Batch, name: str) -> None:
        trains = name == "training"
        try:
            with torch.set_grad_enabled(trains), evaluating(distiller):
                out = distiller(batch, source(batch) if distiller.needs_teacher else None)
        except LimbeckError:
            raise
        except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise LimbeckError(
                f"The plan does not run on a batch of the {name} data: {type(error).__name__}: {error}. Check that "
                f"labels are what the student answers ({self.facts.task.kind.value}: {self.facts.task.reason}), that "
                "all batches have one form, and that adapt and output read batch and answer rightly."
            ) from error
        if trains:
            self._check_gradient(out.student)
        bad = [each for each, value in zip(distiller.names, out.terms.tolist(), strict=True) if value != value]
        if bad:
            raise ModelError(
                f"Every loss must be a number on the first batch. Found NaN in {bad} on the {name} data. Check the "
                "models' weights."
            )

    def _check_gradient(self, output: Any) -> None:
        answered = tensors((output, self.read_output(output)))
        if answered and not any(each.requires_grad for each in answered):
            raise ModelError(
                "The student's answers must depend on its weights, so that it can be trained. Found answers without a "
                "gradient. Take torch.no_grad, inference_mode and detach out of its forward."
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


def _divided(train: Iterable[Any], seed: int) -> tuple[Iterable[Any], Iterable[Any] | None, Choice]:
    """The training data without what is held out, the rest, and what to say of it."""
    split = hold_out(train, seed=seed)
    if split is None:
        return train, None, Choice("validation", "none", why_not_held_out(train) or "nothing to hold out of")
    held = sample_count(split[1])
    reason = "10 % of the training data held out, as none was given"
    return *split, Choice("validation", f"{held} samples", reason)


def _probed(
    teacher: nn.Module,
    student: nn.Module,
    batch: Batch,
    layouts: Mapping[str, Mapping[str, str]],
    sites: Mapping[str, Sequence[str] | None],
    read_output: ReadOutput,
    show: bool,
) -> dict[str, Anatomy]:
    anatomies = {}
    with ProgressBar("Looking at the models", 2, show=show) as bar:
        for side, model in (("teacher", teacher), ("student", student)):
            try:
                said = {"layouts": layouts[side], "output": read_output, "sites": sites[side]}
                anatomies[side] = look_at_side(side, model, batch, **said)
            except ModelError as error:
                raise ModelError(f"The {side} does not run on the training data: {error}") from error
            bar.advance(note=f"{side} read")
    return anatomies


def _linear(model: nn.Module, head: str | None) -> nn.Linear | None:
    """The module of that name, if it is a linear layer."""
    module = None if head is None else unwrap(model).get_submodule(head)
    return module if isinstance(module, nn.Linear) else None


def _stand_in(logits: Any, targets: Any) -> Any:
    """Stands for the user's own loss where a plan is only measured."""
    del targets
    return logits.float().square().mean()
