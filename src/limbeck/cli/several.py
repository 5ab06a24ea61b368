"""One teacher or several, as they are named on the command line and in a job file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from limbeck.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

Named = str | list[str]


def one_or_several(values: Sequence[str] | None) -> Named | None:
    """What a flag that may be repeated says: nothing, one name, or a list of them.

    Example:
        >>> one_or_several([]), one_or_several(["timm:resnet18"]), one_or_several(["a:b", "c:d"])
        (None, 'timm:resnet18', ['a:b', 'c:d'])
    """
    found = list(values or ())
    return None if not found else found[0] if len(found) == 1 else found


def listed(named: Named) -> list[str]:
    """The names as a list."""
    return [named] if isinstance(named, str) else list(named)


def weights_of(teachers: Named, weights: Named | None) -> list[str | None]:
    """The weights of each teacher.

    Raises:
        RecipeError: if there are others than teachers.
    """
    names, given = listed(teachers), [] if weights is None else listed(weights)
    if given and len(given) != len(names):
        raise RecipeError(
            f"Each teacher needs its weights. Found {len(given)} for the {len(names)} teachers {', '.join(names)}. "
            "Give --teacher-weights once for each, in their order: a file, 'pretrained', or 'random'."
        )
    return [*given] or [None] * len(names)


def joined(built: Mapping[str, nn.Module], drop: float | None) -> nn.Module:
    """The teacher, or the committee of several, called by what stands last in their names.

    Raises:
        RecipeError: if a single teacher is to be left out of steps.
    """
    if len(built) > 1:
        from limbeck.teachers import Committee

        return Committee(built, drop=drop or 0.0)
    if drop:
        raise RecipeError(f"Of several teachers some are left out. Found drop {drop} with one. Name more, or no drop.")
    return next(iter(built.values()))


def member_names(teachers: Named) -> list[str]:
    """What the members are called: the last part of each name, numbered where several have the same.

    Example:
        >>> member_names(["timm:resnet18", "hf:me/my-vit", "nets.py:teacher", "old.py:teacher"])
        ['resnet18', 'my_vit', 'teacher_1', 'teacher_2']
    """
    last = [re.sub(r"\W", "_", re.split(r"[:/]", name)[-1]) or "teacher" for name in listed(teachers)]
    last = [f"_{name}" if name[0].isdigit() else name for name in last]
    shared, seen = Counter(last), Counter[str]()
    found: list[str] = []
    for name in last:
        seen[name] += 1
        found.append(name if shared[name] == 1 else f"{name}_{seen[name]}")
    return found
