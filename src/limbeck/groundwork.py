"""What a distillation stands on before anything is built: what was said, the models and data looked at, the plans."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, partial
from typing import Any

from accelerate import Accelerator
from pydantic import ValidationError
from torch import nn

from limbeck.cache.keying import Keys
from limbeck.choice import Choice
from limbeck.errors import RecipeError
from limbeck.options import Options
from limbeck.planning import Pair, Plan
from limbeck.planning.fitting import keys_for
from limbeck.planning.saved_plan import fitting_plan
from limbeck.planning.task_loss import with_task_loss
from limbeck.recipe.recipe import Recipe, Start, explain
from limbeck.recipe.settings import Settings
from limbeck.recording import Recording
from limbeck.resuming import resumed_plan
from limbeck.search.entering import rivals_of, why_not_side_by_side
from limbeck.search.rates import higher, same_at_other_rates
from limbeck.search.spending import Spending
from limbeck.training.accelerating import make_accelerator
from limbeck.training.metrics import Metric
from limbeck.training.processes import main_process_makes
from limbeck.training.run_folder import RunFolder, state_bytes

# Student, projectors and two moments of each, twice while a checkpoint takes the place of the one before.
_CHECKPOINT_COPIES = 8


class Groundwork:
    """Everything that is known before a distiller is built, each thing found when it is first asked for.

    Args:
        teacher: runs, is not trained.
        student: trained in place.
        train: loader to train with.
        validation: loader to select with, or ``None``.
        options: what the user said.
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

    @cached_property
    def folder(self) -> RunFolder | None:
        """The run's folder, opened by the main process; ``None`` if nothing is to be written."""
        options = self.options
        if options.run_dir is None:
            return None
        needed = _CHECKPOINT_COPIES * state_bytes(self.student) + 10_000_000
        create = partial(RunFolder.create, options.run_dir, needed_bytes=needed, resume=options.resume)
        return main_process_makes(self.accelerator, create) or RunFolder(options.run_dir)

    def leave(self) -> None:
        """End what trackers were told, and take the folder away again if nothing was written to it."""
        if (record := vars(self).get("record")) is not None:
            record.close()
        if (opened := vars(self).get("folder")) is not None:
            opened.leave()

    @cached_property
    def record(self) -> Recording:
        """What is written to the folder and to trackers."""
        writes = self.accelerator.is_main_process
        return Recording(self.folder, writes=writes, trackers=self.options.trackers)

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
    def start(self) -> Start:
        """With which layers of the teacher the student starts."""
        said = self._recipe if self._saved_plan is None else self._saved_plan
        return self.options.start or said.start

    @property
    def shows(self) -> bool:
        """Whether to show progress bars."""
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
            show=self.shows,
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
    def metric(self) -> tuple[str, Metric | None]:
        """Name and function of what validation measures; no function for the loss."""
        return self.pair.facts.task.metric(self.options.metric)

    def planned(self) -> Plan:
        """The plan: checked if there was one, made if not."""
        saved, options = self._saved_plan, self.options
        own_loss = options.task_loss is not None
        planning: dict[str, Any] = {"names": options.names, "own_loss": own_loss, "show": self.shows}
        if saved is None:
            plan = self.pair.plan(self._recipe, **planning)
        else:
            known: dict[str, Any] = {"layouts": options.layouts, "replan": options.replan, "planning": planning}
            plan = fitting_plan(saved, self.pair, says=self.accelerator.is_main_process, **known)
        plan = plan.model_copy(update={"training": self.settings, "start": self.start})
        return plan if self.options.task_loss is None else with_task_loss(plan)

    def rivals(self, plan: Plan) -> tuple[list[Plan], tuple[Choice, ...]]:
        """What the default has to beat, and what is to be said where there is nothing."""
        if (begun := self._raced) is not None:
            same = same_at_other_rates(begun, plan)
            return [each for each in begun if each not in same], ()
        why = self._why_no_race(plan)
        if why is None:
            rivals = rivals_of(plan, self.pair, names=self.options.names)
            why = why_not_side_by_side(self.student, 1 + len(rivals), self.accelerator) if rivals else "no other recipe"
            if why is None:
                return rivals, ()
        return [], (Choice("rivals", "none", why),)

    def other_rates(self, plan: Plan, rivals: int) -> list[Plan]:
        """The plan at another rate than that of the rule, where the budget pays for it beside its rivals."""
        if (begun := self._raced) is not None:
            return same_at_other_rates(begun, plan)
        options, pair = self.options, self.pair
        given = self.settings.lr != "auto" or options.optimizer is not None
        if given or options.budget is None or pair.validation is None:
            return []
        macs = {"student_macs": pair.student_anatomy.macs, "teacher_macs": pair.teacher_anatomy.macs}
        students = Spending.of(options.budget, cached=options.cache is not None, **macs).students
        if students < 2 + rivals or why_not_side_by_side(self.student, 2 + rivals, self.accelerator):
            return []
        return [higher(plan)]

    @cached_property
    def _raced(self) -> list[Plan] | None:
        """What trains beside the default in the run that is gone on with; ``None`` for a new one."""
        if not self.options.resume or self._saved_plan is None:
            return None
        return [Plan.load(file) for file in RunFolder(str(self.options.run_dir)).raced[1:]]

    def _why_no_race(self, plan: Plan) -> str | None:
        options = self.options
        reasons = {
            "the recipe or the plan was given": options.recipe is not None or options.plan is not None,
            "the search was switched off": options.budget is None,
            "the rate was given, and may not suit every recipe": plan.training.lr != "auto",
            "the optimizer's own rates are used, and may not suit every recipe": options.optimizer is not None,
            "the loss of the labels is your own": options.task_loss is not None,
            "there is no validation data to judge by": self.pair.validation is None,
            "there are no labels to judge by": self.metric[1] is None,
        }
        return next((reason for reason, holds in reasons.items() if holds), None)
