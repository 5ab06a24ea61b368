"""The same inputs at another size, to see how a network's shapes answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from limbeck.batch import first_tensor, map_tensors


class Variation(NamedTuple):
    """Inputs of another size.

    Attributes:
        inputs: the inputs.
        axes: which axes of the first tensor were changed.
        sizes: their sizes now.
    """

    inputs: Any
    axes: tuple[int, ...]
    sizes: tuple[int, ...]


def other_sizes(inputs: Any) -> Iterator[Variation]:
    """The inputs at other sizes, the likeliest to be accepted first.

    Images grow by 32 (or double) in height and width, sequences lose a quarter of their length. Which axes are
    positions is not known yet: each reasonable choice is tried.

    Example:
        >>> [each.sizes for each in other_sizes(torch.zeros(2, 3, 64, 64))]
        [(96, 96), (128, 128), (32, 32)]
    """
    main = first_tensor(inputs)
    choices = {2: [(1,)], 3: [(2,), (1,)], 4: [(2, 3)], 5: [(2, 3, 4), (3, 4)]}.get(main.ndim, [])
    if main.ndim == 4 and main.shape[-1] < main.shape[1]:
        choices = [(1, 2), (2, 3)]
    for axes in choices:
        now = tuple(main.shape[i] for i in axes)
        for sizes in _steps(now, first_choice=axes == choices[0]):
            yield Variation(_resized(inputs, main, axes, sizes), axes, sizes)


def likely_space(inputs: Any) -> tuple[int, ...]:
    """The axes of the first tensor that are positions, if no other size was accepted: those of an image or video."""
    main = first_tensor(inputs)
    if main.ndim < 4:
        return (1,) if main.ndim == 3 or not main.is_floating_point() else ()
    channels_last = main.shape[-1] < main.shape[1]
    return tuple(range(1, main.ndim - 1)) if channels_last else tuple(range(2, main.ndim))


def _steps(now: tuple[int, ...], *, first_choice: bool) -> list[tuple[int, ...]]:
    if len(now) == 1:
        shorter = now[0] - max(1, now[0] // 4)
        return [(shorter,), (2 * now[0],)] if shorter > 0 else [(2 * now[0],)]
    grown = tuple(side + 32 if side >= 32 else 2 * side for side in now)
    if not first_choice:
        return [grown]
    steps = [grown, tuple(2 * side for side in now)]
    if all(side >= 64 and side % 2 == 0 for side in now):
        steps.append(tuple(side // 2 for side in now))
    return list(dict.fromkeys(steps))


def _resized(inputs: Any, main: Tensor, axes: Sequence[int], sizes: Sequence[int]) -> Any:
    """Every tensor that has the first tensor's sizes on these axes, cut or repeated to the new ones."""

    def resize(each: Tensor) -> Tensor:
        if each.ndim <= max(axes) or any(each.shape[i] != main.shape[i] for i in axes):
            return each
        for axis, size in zip(axes, sizes, strict=True):
            each = _take(each, axis, size)
        return each

    return map_tensors(inputs, resize)


def _take(tensor: Tensor, axis: int, count: int) -> Tensor:
    index = torch.arange(count, device=tensor.device) % tensor.shape[axis]
    return tensor.index_select(axis, index)
