"""Who takes part in a race beside the default."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from accelerate import Accelerator
from torch import nn

from limbeck.distiller.distiller import Distiller
from limbeck.planning.build import build
from limbeck.planning.choosing_outputs import comparisons
from limbeck.planning.pair import Pair
from limbeck.planning.plan import Plan
from limbeck.recipe.recipe import Recipe

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
