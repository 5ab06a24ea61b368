"""What a user states of the sites of both models, divided between the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from limbeck.batch import unwrap
from limbeck.capture.address import Address
from limbeck.errors import LayoutError, RecipeError, SiteError, nearest
from limbeck.planning.plan import Plan
from limbeck.recipe.recipe import Recipe

SIDES = ("teacher", "student")
Sites = Mapping[str, Sequence[str]]
Layouts = Mapping[str, str | Mapping[str, str]]


def stated_sites(sites: Sites | None) -> dict[str, Sequence[str] | None]:
    """The sites to consider of each side; ``None`` for those that are found.

    Raises:
        SiteError: if a side is not known, or what stands there is no list of names.

    Example:
        >>> stated_sites({"student": ["blocks.*", "head:input"]})
        {'teacher': None, 'student': ['blocks.*', 'head:input']}
    """
    for side, names in (sites or {}).items():
        if side not in SIDES or isinstance(names, str) or not names:
            raise SiteError(
                f"sites= needs lists of names for 'teacher' or 'student'. Found {side!r}: {names!r}. Write "
                "sites={'student': ['blocks.*', 'head:input']}."
            )
    return {side: (sites or {}).get(side) for side in SIDES}


def stated_layouts(layouts: Layouts | None, teacher: nn.Module, student: nn.Module) -> dict[str, dict[str, str]]:
    """The layouts stated for sites of each side: for the models that have a module of that name, or the named side.

    Raises:
        LayoutError: if neither model has such a module.

    Example:
        >>> teacher, student = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        >>> stated_layouts({"0": "BC", "1": "BC", "teacher": {"0:input": "BC"}}, teacher, student)
        {'teacher': {'0': 'BC', '0:input': 'BC'}, 'student': {'0': 'BC', '1': 'BC'}}
    """
    models = {"teacher": teacher, "student": student}
    modules = {side: {name for name, _ in unwrap(model).named_modules()} for side, model in models.items()}
    found: dict[str, dict[str, str]] = {side: {} for side in SIDES}
    for site, axes in (layouts or {}).items():
        if not isinstance(axes, str):
            _of_side(site, found).update(axes)
            continue
        having = [side for side in SIDES if Address.parse(site).module in modules[side]]
        if not having:
            known = modules["teacher"] | modules["student"]
            raise LayoutError(
                f"layouts= names '{site}', which is a module of neither model. "
                f"{nearest(site, [name for name in known if name])} `limbeck inspect MODEL` lists the sites."
            )
        for side in having:
            found[side][site] = axes
    return found


def refuse_both(recipe: Recipe | None, plan: Plan | None) -> None:
    """Refuse a recipe beside a plan.

    Raises:
        RecipeError: if both are given.
    """
    if recipe is not None and plan is not None:
        raise RecipeError(
            f"A plan brings the recipe that it was made from ('{plan.recipe.name}'). Found the recipe '{recipe.name}' "
            "beside it. Give one of the two, or make a new plan from the recipe."
        )


def _of_side(side: str, found: dict[str, dict[str, str]]) -> dict[str, str]:
    if side not in found:
        raise LayoutError(
            f"layouts= needs axes for a site, or sites for 'teacher' or 'student'. Found sites for {side!r}. Write "
            "layouts={'student': {'encoder': 'LBC'}}."
        )
    return found[side]
