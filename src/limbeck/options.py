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
from limbeck.resuming import resumed_cache
from limbeck.training.metrics import Metric
from limbeck.training.optimizers import MakeOptimizer


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
    progress: bool = True
    names: tuple[str, str] | None = None
    sources: Mapping[str, Any] = field(default_factory=dict)
    command: str | None = None

    def __post_init__(self) -> None:
        refuse_both(self.recipe, self.plan)
        if self.resume and self.run_dir is None:
            raise RunError("What is resumed is the run in a folder. Found none. Give run_dir= (--run-dir).")

    @property
    def facts(self) -> dict[str, Any]:
        """What ``run.json`` keeps of what was said."""
        return {**self.sources, "cache": None if self.cache is None else self.cache.plain()}

    def as_begun(self) -> Options:
        """The same with the cache of the run that is resumed, if one is.

        Raises:
            RunError: if another is given.
        """
        if not self.resume or self.run_dir is None:
            return self
        return replace(self, cache=resumed_cache(self.run_dir, self.cache))
