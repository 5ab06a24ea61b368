"""What a distillation leaves in its run folder; nothing where there is none, and only once of several processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from torch import nn

from limbeck.batch import Batch, with_samples
from limbeck.planning import Plan
from limbeck.report.report import Report
from limbeck.training.history import History
from limbeck.training.run_folder import RunFolder

# Kept so that an export can be checked on real inputs.
EXAMPLES = 4


class Recording:
    """Writes to a run folder as a distillation goes on.

    Args:
        folder: where to; ``None`` for nowhere.
        writes: whether this process is the one that writes.
    """

    def __init__(self, folder: RunFolder | None, *, writes: bool) -> None:
        self._folder = folder if writes else None

    def begin(self, plan: Plan, example: Batch, sources: Mapping[str, Any]) -> None:
        """Say what is run, with a few inputs; a run that is resumed has said so."""
        if self._folder is None or (self._folder.path / "run.json").exists():
            return
        self._folder.save_example(with_samples(example, min(EXAMPLES, example.size)).inputs)
        self._folder.describe(state="running", teacher=plan.teacher, student=plan.student, **sources)

    def plan(self, plan: Plan) -> None:
        """Write the plan, and the recipe that it was made from."""
        if self._folder is None:
            return
        recipe = plan.recipe.model_copy(update={"training": plan.training, "start": plan.start})
        content = recipe.model_dump(mode="json", exclude_none=True)
        self._folder.write("recipe.yaml", yaml.safe_dump(content, sort_keys=False))
        plan.save(self._folder.path / "plan.yaml")

    def history(self, *, resume: bool) -> History:
        """The rows of a run that is resumed, or none; new ones are added to the file."""
        if self._folder is None:
            return History()
        return self._folder.history() if resume else History(self._folder.path / "history.jsonl")

    def student(self, student: nn.Module) -> None:
        """Write the student's weights."""
        if self._folder is not None:
            self._folder.save_student(student)

    def finish(self, report: Report) -> None:
        """Write the report; ``run.json``, which says that the run is finished, goes last."""
        if self._folder is None:
            return
        self._folder.write("report.md", report.to_markdown())
        self._folder.write("report.json", report.to_json())
        self._folder.describe(state="finished", seconds=round(report.seconds, 2))
