"""A plan as the flat facts that experiment trackers take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from limbeck.planning.plan import Plan
from limbeck.training.tracking import plain


def facts_of(plan: Plan) -> dict[str, Any]:
    """Recipe, models, settings, terms, output losses, costs and every choice, by names that trackers accept."""
    found: dict[str, Any] = {
        "recipe": plan.recipe.name,
        "teacher": plan.teacher,
        "student": plan.student,
        "start": plan.start,
        "balancer": str(plan.balancer),
        "schedule": str(plan.schedule),
        "association": None if plan.association is None else str(plan.association),
    }
    found |= {f"training/{name}": value for name, value in plan.training.model_dump().items()}
    for number, term in enumerate(plan.terms, 1):
        through = [*([] if term.projector is None else [term.projector]), *term.targets]
        behind = f" through {', '.join(map(str, through))}" if through else ""
        found[f"feature/{number}"] = f"{term.student} <- {term.teacher}: {term.comparison}{behind}"
    found |= {f"output/{number}": f"{each.loss} * {each.share:g}" for number, each in enumerate(plan.outputs, 1)}
    found |= {} if plan.costs is None else {f"cost/{name}": value for name, value in plan.costs.model_dump().items()}
    found |= {f"choice/{plain(choice.name)}": choice.value for choice in plan.choices}
    return {name: value for name, value in found.items() if value is not None}


def similarities(plan: Plan, matrix: Sequence[Sequence[float]]) -> dict[str, float]:
    """How alike the linked sites are, as ``similarity/LINK``; nothing where it was not measured.

    Args:
        plan: names the links.
        matrix: of every site of the student (rows) with every site of the teacher, in the plan's order.
    """
    if not matrix:
        return {}
    rows = {spec.site: row for spec, row in zip(plan.student_sites, matrix, strict=True)}
    columns = {spec.site: place for place, spec in enumerate(plan.teacher_sites)}
    return {
        f"similarity/{plain(f'{term.student} <- {term.teacher}')}": rows[term.student][columns[term.teacher]]
        for term in plan.terms
    }
