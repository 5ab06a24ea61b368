"""Who takes part in a race, and at which learning rate."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from torch import nn

from limbeck.batch import Adapt
from limbeck.distiller.distiller import Distiller
from limbeck.planning.build import build
from limbeck.planning.choosing_outputs import comparisons
from limbeck.planning.pair import Pair
from limbeck.planning.plan import Plan
from limbeck.recipe.recipe import Recipe
from limbeck.search.rates import GRID, RateSearch
from limbeck.search.spending import Spending
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.length import Length
from limbeck.training.metrics import Metric

# Recipes without features were best at the default's rate or below it in all cells of our prototype but few.
_LOWER = 2
# Parameters, gradients, two moments and the best weights of all students together may take this much: our choice.
_COPIES, _MOST_BYTES = 5, 2**32


def rivals_of(default: Plan, pair: Pair, *, names: tuple[str, str] | None) -> list[Plan]:
    """Plans for what the default has to beat: soft labels and the student alone, where they can be learnt."""
    plans = [pair.resolved(Recipe.load(name), names=names) for name in comparisons(pair.facts)]
    same = {"training": default.training, "start": default.start}
    return [plan.model_copy(update=same) for plan in plans if plan.outputs != default.outputs or default.terms]


def why_not_side_by_side(student: nn.Module, students: int, accelerator: Accelerator) -> str | None:
    """Why so many students cannot be trained at once; ``None`` if they can."""
    if accelerator.num_processes > 1:
        return "several processes train one student"
    needed = students * _COPIES * sum(each.numel() * each.element_size() for each in student.parameters())
    if needed > _MOST_BYTES:
        return f"{students} students in training would take {needed / 1e9:.0f} GB"
    return None


def distillers_of(plans: Sequence[Plan], student: nn.Module, pair: Pair, *, total_steps: int) -> list[Distiller]:
    """A distiller for each plan without features, each with a copy of the student, which has no hooks yet."""
    copies = [copy.deepcopy(student) for _ in plans]
    options: dict[str, Any] = {"total_steps": total_steps, "read_output": pair.read_output}
    return [build(plan, each, **options) for plan, each in zip(plans, copies, strict=True)]


@dataclass(frozen=True)
class Rates:
    """Finds the learning rate of everyone who takes part: a wide grid for the default, its lower part for the others.

    Attributes:
        length: of a whole training.
        spending: what everything may cost together; ``None`` to not search.
        metric: what validation measures.
        adapt: turns what a loader yields into a batch.
        accelerator: of the training.
        show: whether to show progress bars.
    """

    length: Length
    spending: Spending | None
    metric: Metric | None
    adapt: Adapt
    accelerator: Accelerator
    show: bool

    def __call__(
        self,
        plans: Sequence[Plan],
        distillers: Sequence[Distiller],
        source: FeatureSource | None,
        train: Iterable[Any],
        validation: Iterable[Any] | None,
    ) -> list[Plan]:
        """The plans with their rates, and why.

        Args:
            plans: the default's first.
            distillers: of these; they are not touched.
            source: gives the teacher's side to all.
            train: loader to train with.
            validation: loader to judge with.

        Raises:
            Diverged: if no rate gives a finite loss.
            Interrupted: on Ctrl-C.
        """
        options: dict[str, Any] = {
            "metric": self.metric, "adapt": self.adapt, "accelerator": self.accelerator, "show": self.show,
        }  # fmt: skip
        share = self._share(len(plans))
        found: list[Plan] = []
        for plan, distiller in zip(plans, distillers, strict=True):
            grid = GRID if not found else _below(float(found[0].training.lr))
            search = RateSearch(plan.training, self.length, self.spending and self.spending.budget, grid, share)
            rate, choice = search(distiller, source, train, validation, **options)
            found.append(plan.with_training(lr=rate).with_choices(choice))
        return found

    def _share(self, plans: int) -> float | None:
        if self.spending is None:
            return None
        others = plans - 1
        return self.spending.share(trainings=plans, runs=len(GRID) + others * (_LOWER + 1), groups=plans)


def _below(rate: float) -> Sequence[float]:
    """The rate and the two of the grid below it."""
    place = min(range(len(GRID)), key=lambda each: abs(GRID[each] - rate))
    return GRID[max(0, place - _LOWER) : place + 1]
