"""What a distillation leaves in its run folder and with trackers; of several processes only one writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from torch import nn

from limbeck.batch import Batch, with_samples
from limbeck.planning import Plan
from limbeck.planning.tracked import facts_of, similarities
from limbeck.report.report import Report
from limbeck.training.following import Following
from limbeck.training.history import History
from limbeck.training.run_folder import RunFolder
from limbeck.training.trackers import Trackers
from limbeck.whole_file import write_text

# Kept so that an export can be checked on real inputs.
EXAMPLES = 4
_HISTORY = "history.jsonl"


class Recording:
    """Writes to a run folder, and to trackers, as a distillation goes on.

    Args:
        folder: where to; ``None`` for nowhere.
        writes: whether this process is the one that writes.
        trackers: names, or trackers that are made already; see :func:`~limbeck.training.trackers.trackers_for`.
    """

    def __init__(self, folder: RunFolder | None, *, writes: bool, trackers: Trackers = ()) -> None:
        self._folder, self._trackers = (folder, trackers) if writes else (None, ())
        self._metric, self._before = "metric", dict[str, float]()
        self._following: Following | None = None

    def begin(
        self,
        plan: Plan,
        example: Batch,
        sources: Mapping[str, Any],
        *,
        metric: str = "metric",
        before: Sequence[Sequence[float]] = (),
    ) -> None:
        """Say what is run, with a few inputs; a run that is resumed has said so.

        Args:
            plan: that is followed.
            example: a batch.
            sources: facts for ``run.json``.
            metric: what validation is measured by.
            before: similarity of the linked sites before training.
        """
        self._metric, self._before = metric, similarities(plan, before)
        if self._folder is None or (self._folder.path / "run.json").exists():
            return
        self._folder.save_example(with_samples(example, min(EXAMPLES, example.size)).inputs)
        self._folder.describe(state="running", teacher=plan.teacher, student=plan.student, **sources)

    def plans(self, plans: Sequence[Plan], *, resume: bool) -> list[History]:
        """Write the plan that is followed, and those that race with it; gives the rows of each so far.

        Trackers hear what is added to them.

        Args:
            plans: the default's first.
            resume: whether the rows of the run that is resumed are kept.
        """
        histories = self._histories(plans, resume=resume)
        place = None if self._folder is None else self._folder.path
        self._following = Following(self._trackers, place, metric=self._metric)
        self._following.follow(histories[0], config=facts_of(plans[0]), first=self._before)
        for plan, history in zip(plans[1:], histories[1:], strict=True):
            self._following.follow(history, config=facts_of(plan), rival=plan.recipe.name)
        return histories

    def _histories(self, plans: Sequence[Plan], *, resume: bool) -> list[History]:
        if self._folder is None:
            return [History() for _ in plans]
        if len(plans) > 1:
            for plan in plans:
                plan.save(self._folder.racing(plan.recipe.name) / "plan.yaml")
            self._folder.describe(race=[plan.recipe.name for plan in plans])
        _write_plan(self._folder, plans[0])
        files = [self._folder.path, *(self._folder.racing(plan.recipe.name) for plan in plans[1:])]
        found = [file / _HISTORY for file in files]
        return [History.read(file) if resume else History(file) for file in found]

    def student(self, student: nn.Module) -> None:
        """Write the student's weights."""
        if self._folder is not None:
            self._folder.save_student(student)

    def finish(self, report: Report) -> None:
        """Write the report; ``run.json``, which says that the run is finished, goes last."""
        if self._following is not None:
            self._following.log(report.history, similarities(report.plan, report.after))
        if self._folder is None:
            return
        _write_plan(self._folder, report.plan)
        if report.history.path != (main := self._folder.path / _HISTORY):
            write_text(self._folder.racing(report.standings[0].name) / _HISTORY, main.read_text(encoding="utf-8"))
            write_text(main, report.history.text)
        self._folder.write("report.md", report.to_markdown())
        self._folder.write("report.json", report.to_json())
        self._folder.describe(state="finished", seconds=round(report.seconds, 2))

    def close(self) -> None:
        """End the runs of the trackers; to be called after errors too."""
        if self._following is not None:
            self._following.close()


def _write_plan(folder: RunFolder, plan: Plan) -> None:
    """Write a plan, and the recipe that it was made from."""
    recipe = plan.recipe.model_copy(update={"training": plan.training, "start": plan.start})
    content = recipe.model_dump(mode="json", exclude_none=True)
    folder.write("recipe.yaml", yaml.safe_dump(content, sort_keys=False))
    plan.save(folder.path / "plan.yaml")
