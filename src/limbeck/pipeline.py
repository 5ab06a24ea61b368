"""Everything between two models and a report: look, plan, build, search, train, judge."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any

from accelerate import Accelerator
from pydantic import ValidationError
from torch import nn

from limbeck.cache.cached_teacher import CachedTeacher
from limbeck.cache.keying import Keys
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.errors import RecipeError
from limbeck.options import Options
from limbeck.planning import Pair, Plan, build, check_teacher, fit_targets
from limbeck.planning.choosing_outputs import comparisons
from limbeck.planning.filling import fill
from limbeck.planning.fitting import keys_for
from limbeck.planning.memory_format import memory_format
from limbeck.planning.require_models import require_models
from limbeck.planning.saved_plan import fitting_plan
from limbeck.planning.starting import start_student, started
from limbeck.planning.task_loss import with_task_loss
from limbeck.planning.teacher_source import answering, teacher_source
from limbeck.randomness import seed_all
from limbeck.recipe.recipe import Recipe, Start, explain
from limbeck.recipe.settings import Settings
from limbeck.recording import Recording
from limbeck.report.report import Report
from limbeck.report.similarities import linked_similarity
from limbeck.resuming import how_to_go_on, resumed_plan
from limbeck.search.rates import OWN_RATES, RateSearch
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.accelerating import accelerate_state_kept, make_accelerator
from limbeck.training.evaluation import Evaluation, score
from limbeck.training.interrupt import Interrupted
from limbeck.training.length import Length
from limbeck.training.loaders import batch_count
from limbeck.training.metrics import Metric
from limbeck.training.processes import main_process_makes
from limbeck.training.run_folder import RunFolder, state_bytes
from limbeck.training.selection import Selection
from limbeck.training.surroundings import frozen_choices, undisturbed
from limbeck.training.trainer import Trainer

# Student, projectors and two moments of each, twice while a checkpoint takes the place of the one before.
_CHECKPOINT_COPIES = 8
_TRAINING = "The student was being trained"


class Pipeline:
    """One distillation from beginning to end.

    Args:
        teacher: runs, is not trained.
        student: trained in place.
        train: loader to train with.
        validation: loader to select with, or ``None``.
        options: everything else.
    """

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        train: Iterable[Any],
        validation: Iterable[Any] | None,
        options: Options,
    ) -> None:
        self.teacher, self.student, self.options = teacher, student, options.as_begun()
        self._data = (train, validation)
        self._started = time.monotonic()
        self._stage = "The models were being looked at and the distillation planned"

    def run(self) -> Report:
        """Do it all; models, generators and accelerate are left as they were, but for what the student learns."""
        require_models(self.teacher, self.student)
        try:
            with accelerate_state_kept(), undisturbed(self.teacher, self.student):
                return self._run()
        except KeyboardInterrupt as stop:
            said = str(stop) or f"Stopped. {self._stage}."
            again = how_to_go_on(self.options.run_dir, self.options.command, training=self._stage == _TRAINING)
            raise Interrupted(f"{said} {again}") from None
        finally:
            if (opened := vars(self).get("folder")) is not None:
                opened.leave()

    def fill_cache(self) -> Plan:
        """Plan, and let the teacher answer for all data; nothing is trained. The plan says what is stored."""
        require_models(self.teacher, self.student)
        with accelerate_state_kept(), undisturbed(self.teacher, self.student):
            seed_all(self.settings.seed)
            with started(self.student, self.teacher, self._start):
                plan = self._planned()
            pair, device = self.pair, self.accelerator.device
            with self._built(plan, steps=1) as (distiller, source, notes):
                if not isinstance(source, CachedTeacher) or pair.keyed is None:
                    raise RecipeError(f"There is nothing to cache: no loss of {distiller.names} reads the teacher.")
                fill(source, pair.keyed, pair.adapt, device, show=self._shows)
                return plan.with_choices(*notes)

    def _run(self) -> Report:
        seed_all(self.settings.seed)
        _ = self.folder  # what cannot be written fails before anything is computed
        # The student of a run that is resumed starts so too, until its checkpoint takes over.
        said = start_student(self.student, self.teacher, self._start)
        plan = self._planned().with_choices(*said)
        processes, validated = self.accelerator.num_processes, self.pair.validation is not None
        length = Length.of(plan.training, batch_count(self.pair.train), processes=processes, validated=validated)
        plan = plan.with_choices(*self.pair.facts.notes, self.pair.facts.task.choice, length.choice)
        formatted = memory_format(plan.training.memory_format, self.student, self.teacher, self.pair.batches[0])
        with formatted as formats, self._built(plan, steps=length.steps) as (distiller, source, notes):
            return self._distilled(plan.with_choices(*formats, *notes), length, distiller, source)

    @contextmanager
    def _built(self, plan: Plan, *, steps: int) -> Iterator[tuple[Distiller, FeatureSource, tuple[Choice, ...]]]:
        """The distiller and its teacher, and what is to be said of the latter."""
        options: dict[str, Any] = {"task_loss": self.options.task_loss, "heads": self.pair.heads}
        seed_all(self.settings.seed)  # checking a plan draws fewer numbers than making one
        distiller = build(plan, self.student, total_steps=steps, read_output=self.pair.read_output, **options)
        try:
            with teacher_source(self.pair, distiller, self.options.cache, self.accelerator) as (source, notes):
                yield distiller, source, notes
        finally:
            distiller.close()

    @cached_property
    def folder(self) -> RunFolder | None:
        """The run's folder, opened by the main process; ``None`` if nothing is to be written."""
        options = self.options
        if options.run_dir is None:
            return None
        needed = _CHECKPOINT_COPIES * state_bytes(self.student) + 10_000_000
        create = partial(RunFolder.create, options.run_dir, needed_bytes=needed, resume=options.resume)
        return main_process_makes(self.accelerator, create) or RunFolder(options.run_dir)

    @cached_property
    def record(self) -> Recording:
        """What is written to the folder."""
        return Recording(self.folder, writes=self.accelerator.is_main_process)

    @cached_property
    def _saved_plan(self) -> Plan | None:
        """The plan given by the user, or that of the run to resume."""
        options = self.options
        if not options.resume or options.run_dir is None:
            return options.plan
        # The plan that a run with replan=True was given is not the one that it follows.
        given = None if options.replan else options.plan
        given = given if given is None or options.task_loss is None else with_task_loss(given)
        said: dict[str, Any] = {"settings": options.settings, "start": options.start}
        resumed = resumed_plan(options.run_dir, recipe=options.recipe, plan=given, **said)
        return options.plan if resumed is None else resumed

    @cached_property
    def _recipe(self) -> Recipe:
        return self.options.recipe if self.options.recipe is not None else Recipe.load("auto")

    @cached_property
    def settings(self) -> Settings:
        """How to train: the plan's or the recipe's settings, with the user's in their place where given."""
        base = self._saved_plan.training if self._saved_plan is not None else self._recipe.training
        try:
            return base.given(**{key: value for key, value in self.options.settings.items() if value is not None})
        except ValidationError as error:
            raise RecipeError(explain(error, Settings, "the training settings")) from error

    @property
    def _start(self) -> Start:
        said = self._recipe if self._saved_plan is None else self._saved_plan
        return self.options.start or said.start

    @property
    def _shows(self) -> bool:
        return self.options.progress and self.accelerator.is_main_process

    @cached_property
    def accelerator(self) -> Accelerator:
        """Device, precision and processes."""
        return make_accelerator(self.settings, self.options.device)

    @cached_property
    def pair(self) -> Pair:
        """The models and the data, looked at."""
        options = self.options
        return Pair.look(
            self.teacher,
            self.student,
            *self._data,
            adapt=options.adapt,
            output=options.output,
            layouts=options.layouts,
            sites=options.sites,
            keys=self._keys,
            seed=self.settings.seed,
            device=self.accelerator.device,
            show=self._shows,
        )

    @property
    def _keys(self) -> Keys | None:
        """How samples are known by number, if the cache or a loss needs that."""
        if self.options.cache is not None:
            return Keys(self.options.cache.views)
        plan, recipe = self._saved_plan, self._recipe
        losses = [term.loss for term in (recipe.features if plan is None else plan.terms)]
        return keys_for(losses)

    @cached_property
    def _metric(self) -> tuple[str, Metric | None]:
        """Name and function of what validation measures; no function for the loss."""
        return self.pair.facts.task.metric(self.options.metric)

    def _planned(self) -> Plan:
        """The plan: checked if there was one, made if not."""
        saved, options = self._saved_plan, self.options
        own_loss = options.task_loss is not None
        planning: dict[str, Any] = {"names": options.names, "own_loss": own_loss, "show": self._shows}
        if saved is None:
            plan = self.pair.plan(self._recipe, **planning)
        else:
            known: dict[str, Any] = {"layouts": options.layouts, "replan": options.replan, "planning": planning}
            plan = fitting_plan(saved, self.pair, says=self.accelerator.is_main_process, **known)
        plan = plan.model_copy(update={"training": self.settings, "start": self._start})
        return plan if self.options.task_loss is None else with_task_loss(plan)

    def _distilled(self, plan: Plan, length: Length, distiller: Distiller, source: FeatureSource) -> Report:
        pair = self.pair
        fit_targets(distiller, source, pair.batches, show=self._shows)
        pair.dry_run(distiller, source)
        plan = self._teacher_checked(plan, distiller, source)
        selection = self._selection(distiller)
        plan = plan.with_choices(selection.choice, *frozen_choices(self.student))
        before = linked_similarity(distiller, source, pair.batches)
        self.record.begin(plan, pair.batches[0], self.options.facts)
        rate, choice = self._rate(plan, length, distiller, source, selection)
        plan = plan.with_training(lr=rate).with_choices(choice)
        self.record.plan(plan)
        trainer = self._trainer(plan, length, distiller, source, rate, selection)
        self._stage = _TRAINING
        evaluation = trainer.fit(pair.train, pair.validation, resume=self.options.resume)
        self.record.student(self.student)
        self._stage = "The student is trained, its report was being written"
        report = Report(
            student=self.student,
            plan=plan,
            history=trainer.history,
            evaluation=evaluation,
            teacher_score=self._teacher_score(evaluation, selection.metric, source),
            before=before,
            after=linked_similarity(distiller, source, pair.batches),
            seconds=time.monotonic() - self._started,
            run_dir=None if self.folder is None else str(self.folder.path),
            metric=selection.name,
            comparisons=comparisons(pair.facts),
        )
        self.record.finish(report)
        trainer.remove_checkpoint()
        return report

    def _teacher_checked(self, plan: Plan, distiller: Distiller, source: FeatureSource) -> Plan:
        pair = self.pair
        comparable = pair.facts.task.labelled and pair.facts.same_outputs
        if not (self.options.check_teacher and distiller.needs_teacher and comparable):
            return plan
        found = check_teacher(
            answering(source, self.teacher, self.accelerator.device),
            [each for each in (pair.validation, pair.train) if each is not None],
            pair.facts.task,
            adapt=pair.adapt,
            read_output=pair.read_output,
            answers_taught=distiller.needs_answers,
            show=self._shows,
        )
        return plan.with_choices(found)

    def _selection(self, distiller: Distiller) -> Selection:
        metric = self.options.metric
        own, validated = not isinstance(metric, str), self.pair.validation is not None
        name, function = self._metric
        return Selection.of(distiller, function, name, own=own, validated=validated)

    def _rate(
        self, plan: Plan, length: Length, distiller: Distiller, source: FeatureSource, selection: Selection
    ) -> tuple[float | None, Choice]:
        """The highest rate and why; ``None`` for the rates of the user's own optimizer."""
        rate, said = plan.training.lr, next((each for each in plan.choices if each.name == "learning rate"), None)
        if rate != "auto":
            # The rate of a plan that is resumed was found before: its reason stays.
            return rate, said if said is not None and said.value == rate else Choice("learning rate", rate, "given")
        if self.options.optimizer is not None:
            return None, OWN_RATES
        self._stage = "The learning rate was being searched"
        return RateSearch(plan.training, length, self.options.budget)(
            distiller,
            source,
            self.pair.train,
            self.pair.validation,
            metric=selection.metric,
            adapt=self.pair.adapt,
            accelerator=self.accelerator,
            show=self._shows,
        )

    def _trainer(
        self,
        plan: Plan,
        length: Length,
        distiller: Distiller,
        source: FeatureSource,
        rate: float | None,
        selection: Selection,
    ) -> Trainer:
        folder = self.folder
        return Trainer(
            distiller,
            source,
            settings=plan.training,
            lr=rate,
            length=length,
            metric=selection.metric,
            adapt=self.pair.adapt,
            optimizer=self.options.optimizer,
            accelerator=self.accelerator,
            checkpoint=None if folder is None else folder.checkpoint,
            history=self.record.history(resume=self.options.resume),
            label="Distilling" if self.options.progress else None,
        )

    def _teacher_score(
        self, evaluation: Evaluation | None, metric: Metric | None, source: FeatureSource
    ) -> float | None:
        pair = self.pair
        if metric is None or evaluation is None or pair.validation is None or not pair.facts.same_outputs:
            return None
        return score(
            answering(source, self.teacher, self.accelerator.device),
            pair.validation,
            metric=metric,
            adapt=pair.adapt,
            read_output=pair.read_output,
            label="Scoring the teacher" if self._shows else None,
        )
