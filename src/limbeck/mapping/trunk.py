"""Which sites a mapper chooses among."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from limbeck.errors import RecipeError
from limbeck.links import FeatureSpec, LayerMap, Link

_ENOUGH_STAGES = 3


class Trunks(NamedTuple):
    """The inner sites of both networks, and the link between their head inputs.

    Attributes:
        student: sites of the student but its head input.
        teacher: sites of the teacher but its head input.
        head: the one link between the head inputs; empty if not both networks have one, which then count among the
            inner sites.
    """

    student: list[FeatureSpec]
    teacher: list[FeatureSpec]
    head: LayerMap


def trunks(student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec]) -> Trunks:
    """Part the head inputs from the rest.

    Raises:
        RecipeError: if a network has no site.

    Example:
        >>> sites = [FeatureSpec("a", "BC", 8), FeatureSpec("b", "BC", 8, role="head")]
        >>> parted = trunks(sites, sites)
        >>> [each.site for each in parted.student], len(parted.head)
        (['a'], 1)
    """
    if not student or not teacher:
        raise RecipeError(
            f"A mapping needs at least one site of each network. Found {len(student)} of the student and "
            f"{len(teacher)} of the teacher. `limbeck inspect MODEL` lists them."
        )
    heads = [next((each for each in reversed(specs) if each.role == "head"), None) for specs in (student, teacher)]
    mine, theirs = heads
    if mine is None or theirs is None:
        return Trunks(list(student), list(teacher), ())
    return Trunks(_inner(student), _inner(teacher), (Link(mine, theirs),))


def _inner(specs: Sequence[FeatureSpec]) -> list[FeatureSpec]:
    return [each for each in specs if each.role != "head"]


def landmarks(sites: Sequence[FeatureSpec]) -> list[FeatureSpec]:
    """The ends of the stages, of a network that has at least three; else every site."""
    ends = [each for each in sites if each.role == "stage"]
    return ends if len(ends) >= _ENOUGH_STAGES else list(sites)


def spread(sites: Sequence[FeatureSpec], count: int) -> list[FeatureSpec]:
    """The last site of each of ``count`` equal parts; all sites if there are fewer.

    Example:
        >>> [each.site for each in spread([FeatureSpec(f"block{i}", "BC", 8) for i in range(12)], 3)]
        ['block3', 'block7', 'block11']
    """
    count = min(count, len(sites))
    return [sites[-(-place * len(sites) // count) - 1] for place in range(1, count + 1)]


def refuse_unless_positive(mapper: str, option: str, value: int) -> None:
    """Raise a RecipeError for a number of links below 1."""
    if value < 1:
        raise RecipeError(f"{mapper} needs {option} of at least 1. Found {value}.")
