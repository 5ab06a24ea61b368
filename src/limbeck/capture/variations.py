"""The same inputs with fewer samples or another size, to see how a network's shapes answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from limbeck.batch import first_tensor


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


def with_samples(inputs: Any, count: int) -> Any:
    """The first ``count`` samples of a batch, taken again from its start if it has fewer.

    Example:
        >>> with_samples({"x": torch.tensor([[1], [2]])}, 3)["x"].flatten()
        tensor([1, 2, 1])
    """
    size = len(first_tensor(inputs))
    return _each(inputs, lambda each: _take(each, 0, count) if each.ndim and len(each) == size else each)


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

    return _each(inputs, resize)


def _take(tensor: Tensor, axis: int, count: int) -> Tensor:
    index = torch.arange(count, device=tensor.device) % tensor.shape[axis]
    return tensor.index_select(axis, index)


def _each(value: Any, change: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: _each(each, change) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_each(each, change) for each in value)
    return value
