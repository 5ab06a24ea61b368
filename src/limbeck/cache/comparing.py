"""Samples as tensors, so that two can be compared and hashed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.errors import DataError


def compared(value: Any) -> list[Tensor]:
    """A sample as a list of tensors: its tensors, arrays, images, numbers and texts, in order.

    Raises:
        DataError: if there is something in it that cannot be compared; names its type.

    Example:
        >>> compared((np.zeros(2, np.float32), 3, "ab"))
        [tensor([0., 0.]), tensor(3), tensor([97, 98], dtype=torch.uint8)]
    """
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, bool | int | float | complex):
        return [torch.tensor(value)]
    if isinstance(value, str | bytes | PurePath):
        return [_bytes(value if isinstance(value, bytes) else str(value).encode())]
    if isinstance(value, Mapping):
        return [each for key in value for each in (*compared(key), *compared(value[key]))]
    if isinstance(value, Sequence):
        return [each for part in value for each in compared(part)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [each for part in dataclasses.fields(value) for each in compared(getattr(value, part.name))]
    if value is None:
        return []
    # Images of PIL are arrays too.
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        return _of_array(np.asarray(value))
    raise DataError(
        "Samples that are known by number are compared and hashed, so they are made of tensors, arrays, images, "
        f"numbers and texts. Found {type(value).__name__}. Turn it into one of these in the data set, or leave out "
        "what needs the samples' numbers (cache=, a loss such as CRD)."
    )


def alike(first: Any, second: Any) -> bool:
    """Whether two samples are the same to the last bit; NaN is itself.

    Example:
        >>> alike((torch.zeros(2), 1), (torch.zeros(2), 1)), alike((torch.zeros(2), 1), (torch.zeros(2), 2))
        (True, False)
    """
    mine, other = compared(first), compared(second)
    return len(mine) == len(other) and all(_same(a, b) for a, b in zip(mine, other, strict=True))


def _same(first: Tensor, second: Tensor) -> bool:
    if first.dtype != second.dtype or first.shape != second.shape:
        return False
    exact = torch.equal(first, second)
    return exact or (first.is_floating_point() and torch.allclose(first, second, rtol=0.0, atol=0.0, equal_nan=True))


def _of_array(array: np.ndarray) -> list[Tensor]:
    if array.dtype == object:
        return compared(array.tolist())
    try:
        return [torch.tensor(array)]
    except TypeError:
        # Numbers that torch does not have, dates and texts.
        return [_bytes(array.tobytes())]


def _bytes(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.zeros(0, dtype=torch.uint8)
