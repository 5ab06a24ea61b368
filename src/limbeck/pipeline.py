"""Everything between two models and a report: look, plan, build, search, train, judge."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.cache.cached_teacher import CachedTeacher
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.errors import RecipeError
from limbeck.groundwork import Groundwork
from limbeck.options import Options
from limbeck.planning import Plan, build, check_teacher, fit_targets
from limbeck.planning.choosing_outputs import comparisons
from limbeck.planning.filling import fill
from limbeck.planning.memory_format import memory_format
from limbeck.planning.require_models import require_models
from limbeck.planning.starting import start_student, started
from limbeck.planning.teacher_source import answering, teacher_source
from limbeck.randomness import seed_all
from limbeck.report.report import Report
from limbeck.report.similarities import linked_similarity
from limbeck.resuming import how_to_go_on
from limbeck.search.entering import distillers_of
from limbeck.search.race import Entrant, Race
from limbeck.search.rates import OWN_RATES, ruled
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.accelerating import accelerate_state_kept
from limbeck.training.evaluation import Evaluation, score
from limbeck.training.history import History
from limbeck.training.interrupt import Interrupted
from limbeck.training.length import Length
from limbeck.training.loaders import batch_count
from limbeck.training.metrics import Metric
from limbeck.training.selection import Selection
from limbeck.training.surroundings import frozen_choices, undisturbed

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
        self.ground = Groundwork(teacher, student, train, validation, options)
        self.teacher, self.student, self.options = teacher, student, self.ground.options
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
            self.ground.leave()

    def fill_cache(self) -> Plan:
        """Plan, and let the teacher answer for all data; nothing is trained. The plan says what is stored."""
        require_models(self.teacher, self.student)
        with accelerate_state_kept(), undisturbed(self.teacher, self.student):
            seed_all(self.ground.settings.seed)
            with started(self.student, self.teacher, self.ground.start):
                plan = self.ground.planned()
            pair, device = self.ground.pair, self.ground.accelerator.device
            races = bool(self.ground.rivals(plan)[0])
            with self._built(plan, steps=1, races=races) as (distiller, source, notes):
                if not isinstance(source, CachedTeacher) or pair.keyed is None:
                    raise RecipeError(f"There is nothing to cache: no loss of {distiller.names} reads the teacher.")
                fill(source, pair.keyed, pair.adapt, device, show=self.ground.shows)
                return plan.with_choices(*notes)

    def _run(self) -> Report:
        ground = self.ground
        seed_all(ground.settings.seed)
        _ = ground.folder  # what cannot be written fails before anything is computed
        # The student of a run that is resumed starts so too, until its checkpoint takes over.
        said = start_student(self.student, self.teacher, ground.start)
        plan, pair = ground.planned().with_choices(*said), ground.pair
        processes, validated = ground.accelerator.num_processes, pair.validation is not None
        length = Length.of(plan.training, batch_count(pair.train), processes=processes, validated=validated)
        plan = plan.with_choices(*pair.facts.notes, pair.facts.task.choice, length.choice)
        rivals, races = ground.rivals(plan)
        formatted = memory_format(plan.training.memory_format, self.student, self.teacher, pair.batches[0])
        with (
            formatted as formats,
            _closed(distillers_of(rivals, self.student, pair, total_steps=length.steps)) as others,
            self._built(plan, steps=length.steps, races=bool(rivals)) as (distiller, source, notes),
        ):
            plans = [plan.with_choices(*formats, *notes, *races), *rivals]
            return self._distilled(plans, length, [distiller, *others], source)

    @contextmanager
    def _built(
        self, plan: Plan, *, steps: int, races: bool
    ) -> Iterator[tuple[Distiller, FeatureSource, tuple[Choice, ...]]]:
        """The distiller and its teacher, which also answers if others race, and what is to be said of the latter."""
        pair, options = self.ground.pair, self.options
        seed_all(self.ground.settings.seed)  # checking a plan draws fewer numbers than making one
        how: dict[str, Any] = {"task_loss": options.task_loss, "heads": pair.heads, "read_output": pair.read_output}
        distiller = build(plan, self.student, total_steps=steps, **how)
        try:
            with teacher_source(pair, distiller, options.cache, self.ground.accelerator, answers=races) as found:
                yield distiller, *found
        finally:
            distiller.close()

    def _distilled(
        self, plans: list[Plan], length: Length, distillers: list[Distiller], source: FeatureSource
    ) -> Report:
        pair, record = self.ground.pair, self.ground.record
        plan, distiller = plans[0], distillers[0]
        fit_targets(distiller, source, pair.batches, show=self.ground.shows)
        for each in distillers:
            pair.dry_run(each, source)
        plan = self._teacher_checked(plan, distiller, source)
        selection = self._selection(distiller)
        plan = plan.with_choices(selection.choice, *frozen_choices(self.student))
        before = linked_similarity(distiller, source, pair.batches)
        record.begin(plan, pair.batches[0], self.options.facts, metric=selection.name, before=before)
        plan, *rivals = self._rated([plan, *plans[1:]], distillers, source)
        same = self.ground.other_rates(plan, len(rivals))
        plans = [plan, *same, *rivals]
        with _closed([copy.deepcopy(distiller) for _ in same]) as others:
            histories = record.plans(plans, resume=self.options.resume)
            entered = [distiller, *others, *distillers[1:]]
            return self._trained(self._race(plans, length, entered, source, selection, histories), selection, before)

    def _trained(self, race: Race, selection: Selection, before: Sequence[Sequence[float]]) -> Report:
        pair, record, first, source = self.ground.pair, self.ground.record, race.entrants[0], race.source
        self._stage = _TRAINING
        result = race.run(pair.train, pair.validation, resume=self.options.resume)
        winner = result.winner
        if winner is not first:
            self.student.load_state_dict(winner.distiller.student.state_dict())
        record.student(self.student)
        self._stage = "The student is trained, its report was being written"
        report = Report(
            student=self.student,
            plan=winner.plan.with_choices(*result.choices),
            history=winner.history,
            evaluation=result.evaluation,
            teacher_score=self._teacher_score(result.evaluation, selection.metric, source),
            before=before if winner.plan.terms == first.plan.terms else (),
            after=linked_similarity(winner.distiller, source, pair.batches),
            seconds=time.monotonic() - self._started,
            run_dir=None if self.ground.folder is None else str(self.ground.folder.path),
            metric=selection.name,
            comparisons=comparisons(pair.facts),
            standings=result.standings if len(race.entrants) > 1 else (),
        )
        record.finish(report)
        race.remove_checkpoints()
        return report

    def _teacher_checked(self, plan: Plan, distiller: Distiller, source: FeatureSource) -> Plan:
        pair = self.ground.pair
        comparable = pair.facts.task.labelled and pair.facts.same_outputs
        if not (self.options.check_teacher and distiller.needs_teacher and comparable):
            return plan
        found = check_teacher(
            answering(source, self.teacher, self.ground.accelerator.device),
            [each for each in (pair.validation, pair.train) if each is not None],
            pair.facts.task,
            adapt=pair.adapt,
            read_output=pair.read_output,
            answers_taught=distiller.needs_answers,
            show=self.ground.shows,
        )
        return plan.with_choices(found)

    def _selection(self, distiller: Distiller) -> Selection:
        metric = self.options.metric
        own, validated = not isinstance(metric, str), self.ground.pair.validation is not None
        name, function = self.ground.metric
        return Selection.of(distiller, function, name, own=own, validated=validated)

    def _rated(self, plans: list[Plan], distillers: list[Distiller], source: FeatureSource) -> list[Plan]:
        """The plans with their highest rates and why; without one where the user's optimizer has its own."""
        plan, rate = plans[0], plans[0].training.lr
        said = plan.choice("learning rate")
        if rate != "auto":
            # The rate of a plan that is resumed was found before: its reason stays.
            known = said is not None and said.value == rate
            return plans if known else [plan.with_choices(Choice("learning rate", rate, "given")), *plans[1:]]
        if self.options.optimizer is not None:
            return [plan.with_choices(OWN_RATES), *plans[1:]]
        self._stage = "The learning rate was being looked for"
        batches, accelerator = self.ground.pair.batches, self.ground.accelerator
        return [
            ruled(each, distiller, source, batches, accelerator)
            for each, distiller in zip(plans, distillers, strict=True)
        ]

    def _race(
        self,
        plans: list[Plan],
        length: Length,
        distillers: list[Distiller],
        source: FeatureSource,
        selection: Selection,
        histories: list[History],
    ) -> Race:
        folder = self.ground.folder
        checkpoints: list[Path | None] = [None] * len(plans)
        if folder is not None:
            checkpoints = [folder.checkpoint, *(folder.racing(each.recipe.name) / "checkpoint" for each in plans[1:])]
        return Race(
            [Entrant(*each) for each in zip(plans, distillers, histories, checkpoints, strict=True)],
            source,
            length,
            selection.metric,
            self.ground.pair.adapt,
            self.ground.accelerator,
            optimizer=self.options.optimizer,
            label="Distilling" if self.options.progress else None,
        )

    def _teacher_score(
        self, evaluation: Evaluation | None, metric: Metric | None, source: FeatureSource
    ) -> float | None:
        pair = self.ground.pair
        if metric is None or evaluation is None or pair.validation is None or not pair.facts.same_outputs:
            return None
        return score(
            answering(source, self.teacher, self.ground.accelerator.device),
            pair.validation,
            metric=metric,
            adapt=pair.adapt,
            read_output=pair.read_output,
            label="Scoring the teacher" if self.ground.shows else None,
        )


@contextmanager
def _closed(distillers: list[Distiller]) -> Iterator[list[Distiller]]:
    """While entered they have their hooks."""
    try:
        yield distillers
    finally:
        for each in distillers:
            each.close()
