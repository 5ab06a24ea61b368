"""Consecutive sites of one grid form a stage; what only leads into a stage is no site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limbeck.capture.heads import is_weighted_layer
from limbeck.capture.layouts import Layout
from limbeck.capture.sites import Place

_SIDE_SHARE = 0.25  # our choice: other blocks that do less than a quarter of what the main ones of a stage do
_SAME_GRID = 0.75  # our choice: convolutions without padding shrink a grid by less, strides and pooling by more


def stage_numbers(places: Sequence[Place], layouts: Mapping[str, Layout]) -> list[int]:
    """The number of each place's stage, counted from 0.

    Branches that fire together (items of one call) stand in the same stage.
    """
    numbers: list[int] = []
    before: list[tuple[int, ...] | None] | None = None
    number = -1
    for group in grouped(places):
        grids = [layouts[each.site].grid for each in group]
        if before is None or not _alike(before, grids):
            number += 1
        before = grids
        numbers.extend([number] * len(group))
    return numbers


def grouped(places: Sequence[Place]) -> list[list[Place]]:
    """Places that belong to the same call, together."""
    groups: list[list[Place]] = []
    for place in places:
        if groups and groups[-1][0].call is place.call and not place.reads_input:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def without_side_blocks(places: Sequence[Place], layouts: Mapping[str, Layout]) -> list[Place]:
    """Drop stems and transitions that are built of blocks of their own.

    In each stage the list of modules that does most of the work is the main one; another list beside it whose blocks
    are of other classes and do little is dropped, in every stage.
    """
    numbers = stage_numbers(places, layouts)
    dropped: set[str] = set()
    for number in set(numbers):
        lists: dict[str, list[Place]] = {}
        for place, own in zip(places, numbers, strict=True):
            if own == number and not place.reads_input:
                lists.setdefault(_list_name(place), []).append(place)
        main = max(lists.values(), key=_work, default=[])
        dropped |= {name for name, others in lists.items() if _is_beside(others, main)}
    return [each for each in places if each.reads_input or _list_name(each) not in dropped]


def _is_beside(others: Sequence[Place], main: Sequence[Place]) -> bool:
    """Whether blocks only stand beside the main ones of their stage. Beside single layers, all are alike."""
    classes = {type(each.call.module) for each in main}
    strange = classes.isdisjoint(type(each.call.module) for each in others)
    blocks = all(sum(is_weighted_layer(call) for call in each.call.within()) > 1 for each in main)
    return strange and blocks and _work(others) < _SIDE_SHARE * _work(main)


def _list_name(place: Place) -> str:
    return place.call.name.rpartition(".")[0]


def _work(places: Sequence[Place]) -> int:
    return sum(each.macs for each in {each.call.left: each.call for each in places}.values())


def _alike(before: Sequence[tuple[int, ...] | None], after: Sequence[tuple[int, ...] | None]) -> bool:
    if len(before) != len(after):
        return False
    return all(_same_grid(a, b) for a, b in zip(before, after, strict=True))


def _same_grid(a: tuple[int, ...] | None, b: tuple[int, ...] | None) -> bool:
    if a is None or b is None or len(a) != len(b):
        return a is b
    return all(_SAME_GRID < x / y < 1 / _SAME_GRID if x and y else x == y for x, y in zip(a, b, strict=True))
