"""What the user of a distillation said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from limbeck.batch import Adapt, ReadOutput
from limbeck.errors import RunError
from limbeck.planning import Plan
from limbeck.planning.build import TaskLoss
from limbeck.planning.caching import CacheSettings
from limbeck.planning.stated import Layouts, Sites, refuse_both
from limbeck.recipe.recipe import Recipe, Start
from limbeck.resuming import resumed_cache, resumed_tracker
from limbeck.training.metrics import Metric
from limbeck.training.optimizers import MakeOptimizer
from limbeck.training.trackers import TrackerChoice, Trackers, trackers_for


@dataclass(frozen=True)
class Options:
    """What the user of :func:`limbeck.distill` said; its docstring explains each.

    Three come from the command line only: ``names`` of student and teacher for people, ``sources``, facts for
    ``run.json`` from which :func:`limbeck.load` can build the student again, and ``command``, which resumes the run.
    """

    recipe: Recipe | None = None
    plan: Plan | None = None
    start: Start | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    optimizer: MakeOptimizer | None = None
    metric: str | Metric = "auto"
    task_loss: TaskLoss | None = None
    budget: float | None = 3.0
    adapt: Adapt | None = None
    output: ReadOutput | None = None
    layouts: Layouts | None = None
    sites: Sites | None = None
    cache: CacheSettings | None = None
    device: str | torch.device | None = None
    run_dir: Path | None = None
    resume: bool = False
    replan: bool = False
    check_teacher: bool = True
    tracker: TrackerChoice = "auto"
    progress: bool = True
    names: tuple[str, str] | None = None
    sources: Mapping[str, Any] = field(default_factory=dict)
    command: str | None = None

    def __post_init__(self) -> None:
        refuse_both(self.recipe, self.plan)
        if self.resume and self.run_dir is None:
            raise RunError("What is resumed is the run in a folder. Found none. Give run_dir= (--run-dir).")
        _ = self.trackers  # what cannot track fails before anything is computed

    @property
    def trackers(self) -> Trackers:
        """The trackers, those that are known by name as names."""
        return trackers_for(self.tracker, self.run_dir)

    @property
    def facts(self) -> dict[str, Any]:
        """What ``run.json`` keeps of what was said."""
        named = [each for each in self.trackers if isinstance(each, str)]
        return {**self.sources, "cache": None if self.cache is None else self.cache.plain(), "tracker": named}

    def as_begun(self) -> Options:
        """The same with the cache and the trackers of the run that is resumed, if one is.

        Raises:
            RunError: if another is given.
        """
        if not self.resume or self.run_dir is None:
            return self
        cache, tracker = resumed_cache(self.run_dir, self.cache), resumed_tracker(self.run_dir, self.tracker)
        return replace(self, cache=cache, tracker=tracker)
