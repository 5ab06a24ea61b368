"""Everything between two models and a report: look, plan, build, search, train, judge."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from pydantic import ValidationError
from torch import nn

from limbeck.batch import Adapt, ReadOutput
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.errors import PlanMismatch, RecipeError
from limbeck.planning import Pair, Plan, build, check_plan, check_teacher, diff_plans, fit_targets
from limbeck.planning.build import TaskLoss
from limbeck.planning.costs import take
from limbeck.recipe.part import Part
from limbeck.recipe.recipe import OutputTerm, Recipe, explain
from limbeck.recipe.settings import Settings
from limbeck.report.report import Report
from limbeck.report.similarities import linked_similarity
from limbeck.search.rates import DEFAULT_RATE, RateSearch
from limbeck.teachers.live import Teacher
from limbeck.training.evaluation import Evaluation, score
from limbeck.training.history import History
from limbeck.training.interrupt import Interrupted
from limbeck.training.length import Length
from limbeck.training.loaders import batch_count
from limbeck.training.metrics import Metric, metric_of
from limbeck.training.optimizers import MakeOptimizer
from limbeck.training.randomness import own_randomness, seed_all
from limbeck.training.run_folder import RunFolder, state_bytes
from limbeck.training.trainer import Trainer, make_accelerator

# Student, projectors and two moments of each, twice while a checkpoint takes the place of the one before.
_CHECKPOINT_COPIES = 8
# Kept in the run folder so that an export can be checked on real inputs.
EXAMPLES = 4


@dataclass(frozen=True)
class Options:
    """What the user of :func:`limbeck.distill` said; its docstring explains each.

    Two come from the command line only: ``names`` of student and teacher for people, and ``sources``, facts for
    ``run.json`` from which :func:`limbeck.load` can build the student again.
    """

    recipe: Recipe
    plan: Plan | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    optimizer: MakeOptimizer | None = None
    metric: str | Metric = "accuracy"
    task_loss: TaskLoss | None = None
    budget: float | None = 3.0
    adapt: Adapt | None = None
    output: ReadOutput | None = None
    layouts: Mapping[str, str] | None = None
    device: str | torch.device | None = None
    run_dir: Path | None = None
    resume: bool = False
    replan: bool = False
    check_teacher: bool = True
    progress: bool = True
    names: tuple[str, str] | None = None
    sources: Mapping[str, Any] = field(default_factory=dict)


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
        self.teacher, self.student, self.options = teacher, student, options
        self._data = (train, validation)
        self._started = time.monotonic()

    def run(self) -> Report:
        """Do it all."""
        with own_randomness():
            seed_all(self.settings.seed)
            _ = self.folder  # what cannot be written fails before anything is computed
            plan = self._planned()
            batches, processes = batch_count(self.pair.train), self.accelerator.num_processes
            length = Length.of(plan.training, batches, processes=processes)
            plan = plan.with_choices(*self.pair.facts.notes, length.choice)
            with Teacher(self.teacher, plan.teacher_sites) as source:
                distiller = build(
                    plan,
                    self.student,
                    total_steps=length.steps,
                    read_output=self.pair.read_output,
                    task_loss=self.options.task_loss,
                )
                try:
                    return self._distilled(plan, length, distiller, source)
                finally:
                    distiller.close()

    @cached_property
    def folder(self) -> RunFolder | None:
        """The run's folder, opened by the main process; ``None`` if nothing is to be written."""
        options = self.options
        if options.run_dir is None:
            return None
        needed = _CHECKPOINT_COPIES * state_bytes(self.student) + 10_000_000
        with self.accelerator.main_process_first():
            if not self.accelerator.is_main_process:
                return RunFolder(options.run_dir)
            return RunFolder.create(options.run_dir, needed_bytes=needed, resume=options.resume)

    @cached_property
    def _saved_plan(self) -> Plan | None:
        """The plan given by the user, or that of the run to resume."""
        options = self.options
        saved = None if options.run_dir is None or not options.resume else options.run_dir / "plan.yaml"
        return Plan.load(saved) if saved is not None and saved.is_file() else options.plan

    @cached_property
    def settings(self) -> Settings:
        """How to train: the plan's or the recipe's settings, with the user's in their place where given."""
        base = self._saved_plan.training if self._saved_plan is not None else self.options.recipe.training
        given = {key: value for key, value in self.options.settings.items() if value is not None}
        try:
            return Settings.model_validate({**base.model_dump(), **given})
        except ValidationError as error:
            raise RecipeError(explain(error, Settings, "the training settings")) from error

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
            seed=self.settings.seed,
            device=self.accelerator.device,
            show=self._shows,
        )

    @cached_property
    def metric(self) -> Metric | None:
        """What validation measures; ``None`` for the loss, where there is nothing to compare answers with.

        Labels that a language model shifts itself do not stand beside the logits that they belong to.
        """
        facts = self.pair.facts
        judged = facts.labelled and facts.student_shape is not None
        judged = judged and not (facts.own_loss and self.options.metric == "accuracy")
        return metric_of(self.options.metric) if judged else None

    def _planned(self) -> Plan:
        """The plan: checked if there was one, made if not."""
        saved = self._saved_plan
        if saved is None:
            plan = self.pair.plan(self.options.recipe, names=self.options.names, show=self._shows)
        else:
            try:
                plan = check_plan(
                    saved,
                    self.student,
                    self.teacher,
                    self.pair.batches[0],
                    layouts=self.options.layouts,
                    read_output=self.pair.read_output,
                )
            except PlanMismatch:
                if not self.options.replan:
                    raise
                plan = self.pair.plan(saved.recipe, names=self.options.names, show=self._shows)
                changed = tuple(diff_plans(saved, plan))
                plan = plan.with_choices(Choice("re-planned", list(changed), "the saved plan no longer fitted"))
        plan = plan.model_copy(update={"training": self.settings})
        if self.settings.lr != "auto":
            plan = plan.with_choices(Choice("learning rate", self.settings.lr, "given"))
        return plan if self.options.task_loss is None else _with_task_loss(plan)

    def _distilled(self, plan: Plan, length: Length, distiller: Distiller, source: Teacher) -> Report:
        pair = self.pair
        fit_targets(distiller, source, pair.batches)
        pair.dry_run(distiller, source)
        plan = self._teacher_checked(plan, distiller)
        before = linked_similarity(distiller, source, pair.batches)
        self._begin(plan)
        try:
            plan = self._with_rate(plan, length, distiller, source)
            self._write_plan(plan)
            trainer = self._trainer(plan, length, distiller, source)
            evaluation = trainer.fit(pair.train, pair.validation, resume=self.options.resume)
            if self.folder is not None and self.accelerator.is_main_process:
                self.folder.save_student(self.student)
            trainer.remove_checkpoint()
        except Interrupted as stop:
            raise Interrupted(f"{stop} {self._how_to_resume()}") from None
        report = Report(
            student=self.student,
            plan=plan,
            history=trainer.history,
            evaluation=evaluation,
            teacher_score=self._teacher_score(evaluation),
            before=before,
            after=linked_similarity(distiller, source, pair.batches),
            seconds=time.monotonic() - self._started,
            run_dir=None if self.folder is None else str(self.folder.path),
            metric=self._metric_name(),
        )
        self._finish(report)
        return report

    def _begin(self, plan: Plan) -> None:
        folder = self.folder
        if folder is None or not self.accelerator.is_main_process or (folder.path / "run.json").exists():
            return
        folder.describe(state="running", teacher=plan.teacher, student=plan.student, **self.options.sources)
        folder.save_example(take(self.pair.batches[0], EXAMPLES).inputs)

    def _teacher_checked(self, plan: Plan, distiller: Distiller) -> Plan:
        facts = self.pair.facts
        comparable = facts.same_outputs and facts.classes and not facts.own_loss
        if not (self.options.check_teacher and distiller.needs_teacher and comparable):
            return plan
        data = self.pair.validation if self.pair.validation is not None else self.pair.train
        found = check_teacher(
            self.teacher,
            data,
            adapt=self.pair.adapt,
            read_output=self.pair.read_output,
            answers_taught=distiller.needs_answers,
        )
        return plan if found is None else plan.with_choices(found)

    def _with_rate(self, plan: Plan, length: Length, distiller: Distiller, source: Teacher) -> Plan:
        if plan.training.lr != "auto":
            return plan
        validation = self.pair.validation
        if self.options.budget is None or validation is None:
            reason = "no validation data to search with" if validation is None else "the search was switched off"
            return plan.with_training(lr=DEFAULT_RATE).with_choices(Choice("learning rate", DEFAULT_RATE, reason))
        search = RateSearch(plan.training, length, self.options.budget)
        rate, choice = search(
            distiller,
            source,
            self.pair.train,
            validation,
            metric=self.metric,
            adapt=self.pair.adapt,
            accelerator=self.accelerator,
            optimizer=self.options.optimizer,
            show=self._shows,
        )
        return plan.with_training(lr=rate).with_choices(choice)

    def _trainer(self, plan: Plan, length: Length, distiller: Distiller, source: Teacher) -> Trainer:
        folder, history = self.folder, History()
        if folder is not None and self.accelerator.is_main_process:
            history = folder.history() if self.options.resume else History(folder.path / "history.jsonl")
        return Trainer(
            distiller,
            source,
            settings=plan.training,
            lr=float(plan.training.lr),
            length=length,
            metric=self.metric,
            adapt=self.pair.adapt,
            optimizer=self.options.optimizer,
            accelerator=self.accelerator,
            checkpoint=None if folder is None else folder.checkpoint,
            history=history,
            label="Distilling" if self.options.progress else None,
        )

    def _write_plan(self, plan: Plan) -> None:
        if self.folder is not None and self.accelerator.is_main_process:
            content = plan.recipe.model_copy(update={"training": plan.training}).model_dump(
                mode="json", exclude_none=True
            )
            self.folder.write("recipe.yaml", yaml.safe_dump(content, sort_keys=False))
            plan.save(self.folder.path / "plan.yaml")

    def _teacher_score(self, evaluation: Evaluation | None) -> float | None:
        pair = self.pair
        if self.metric is None or evaluation is None or pair.validation is None or not pair.facts.same_outputs:
            return None
        return score(self.teacher, pair.validation, metric=self.metric, adapt=pair.adapt, read_output=pair.read_output)

    def _metric_name(self) -> str:
        if self.metric is None:
            return "minus the loss"
        return self.options.metric if isinstance(self.options.metric, str) else "metric"

    def _how_to_resume(self) -> str:
        if self.folder is None:
            return "Give run_dir= to be able to resume the next time."
        path = self.folder.path
        return f"Go on with limbeck.distill(..., run_dir='{path}', resume=True), or the same command with --resume."

    def _finish(self, report: Report) -> None:
        if self.folder is None or not self.accelerator.is_main_process:
            return
        self.folder.write("report.md", report.to_markdown())
        self.folder.write("report.json", report.to_json())
        self.folder.describe(state="finished", seconds=round(report.seconds, 2))


def _with_task_loss(plan: Plan) -> Plan:
    """The plan with the user's own task loss in the place of cross-entropy."""
    outputs = tuple(
        term.model_copy(update={"loss": Part(kind="Given")}) if term.loss.kind == "CrossEntropy" else term
        for term in plan.outputs
    )
    if not any(term.loss.kind == "Given" for term in outputs):
        outputs = (*outputs, OutputTerm(loss=Part(kind="Given")))
    return plan.model_copy(update={"outputs": outputs})
