"""The families and what is in them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from types import ModuleType

import limbeck.associations
import limbeck.balancers
import limbeck.losses
import limbeck.mapping
import limbeck.outputs
import limbeck.projectors
import limbeck.schedules
import limbeck.similarity
import limbeck.targets
from limbeck.catalogue.method import Method, describe
from limbeck.errors import RecipeError, nearest

FAMILIES: dict[str, ModuleType] = {
    "losses": limbeck.losses,
    "outputs": limbeck.outputs,
    "associations": limbeck.associations,
    "projectors": limbeck.projectors,
    "targets": limbeck.targets,
    "balancers": limbeck.balancers,
    "schedules": limbeck.schedules,
    "similarity": limbeck.similarity,
    "mapping": limbeck.mapping,
}


def methods(family: str | None = None, name: str | None = None) -> Sequence[Method]:
    """The methods of a family, or of all; or the one with a name.

    Args:
        family: one of :data:`FAMILIES`.
        name: of a class in that family.

    Raises:
        RecipeError: if there is no such family or class; names the nearest ones.

    Example:
        >>> [each.needs for each in methods("losses", "MSE")]
        [('equal channels', 'equal positions')]
    """
    if family is not None and family not in FAMILIES:
        raise RecipeError(f"There is no family '{family}'. {nearest(family, list(FAMILIES))}")
    families = FAMILIES if family is None else {family: FAMILIES[family]}
    found = {
        (key, cls.__name__): cls
        for key, module in families.items()
        for cls in (getattr(module, each) for each in module.__all__)
        if not inspect.isabstract(cls)
    }
    if name is not None:
        named = {key: cls for key, cls in found.items() if key[1] == name}
        if not named:
            known = [each for _, each in found]
            raise RecipeError(f"There is no method '{name}' in {family or 'limbeck'}. {nearest(name, known)}")
        found = named
    return [describe(key, cls) for (key, _), cls in found.items()]
