"""A saved plan meets a pair of models: it still fits, or it is made anew."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from limbeck.choice import Choice
from limbeck.errors import PlanMismatch
from limbeck.planning.check import check_plan, diff_plans
from limbeck.planning.edits import mark_edits
from limbeck.planning.pair import Pair
from limbeck.planning.plan import Plan
from limbeck.planning.stated import Layouts


def fitting_plan(
    saved: Plan, pair: Pair, *, layouts: Layouts | None, replan: bool, says: bool, planning: dict[str, Any]
) -> Plan:
    """The plan, checked against the pair and with what was edited marked; or another one of its recipe.

    Args:
        saved: the plan.
        pair: models and data, looked at.
        layouts: axes of sites whose layout cannot be told.
        replan: whether to plan anew where the plan does not fit; the difference is then one of the choices.
        says: whether the difference is shown on the terminal too.
        planning: what :meth:`Pair.plan` is given beside the recipe.

    Raises:
        PlanMismatch: if the plan does not fit and none may be made anew.
    """
    try:
        models = pair.student, pair.teacher
        return mark_edits(check_plan(saved, *models, pair.batches[0], layouts=layouts, read_output=pair.read_output))
    except PlanMismatch:
        if not replan:
            raise
    plan = pair.plan(saved.recipe, **planning)
    changed = diff_plans(saved, plan)
    if says:
        Console(stderr=True).print("Re-planned:", *changed, sep="\n  ", markup=False, highlight=False)
    return plan.with_choices(Choice("re-planned", changed, "the saved plan no longer fitted"))
