"""Class numbers written down in as few bytes as they need."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from limbeck.cache.encoding import Encoding, encoding


class _ClassNumbers(Encoding):
    """Whole numbers that come back as they are; not an encoding that features can have."""

    def encode(self, rows: Tensor) -> np.ndarray:
        """The numbers."""
        return rows.cpu().numpy().astype(self.dtype)

    def decode(self, stored: Tensor) -> Tensor:
        """The numbers."""
        return stored.long()


class _UpTo65536(_ClassNumbers):
    """Two bytes a number."""

    name, dtype = "uint16", np.uint16


class _Larger(_ClassNumbers):
    """Four bytes a number."""

    name, dtype = "int32", np.int32


_CLASS_NUMBERS: dict[str, type[Encoding]] = {each.name: each for each in (_UpTo65536, _Larger)}


def numbers_of(classes: int) -> str:
    """The name of the encoding for the numbers of so many classes.

    Example:
        >>> numbers_of(32000), numbers_of(128000)
        ('uint16', 'int32')
    """
    return _UpTo65536.name if classes <= 2**16 else _Larger.name


def field_encoding(name: str) -> Encoding:
    """A new encoding of a field by its name: of features or logits, or of class numbers.

    Raises:
        RecipeError: if there is none; names the nearest.

    Example:
        >>> import torch
        >>> numbers = field_encoding("uint16")
        >>> numbers.decode(torch.from_numpy(numbers.encode(torch.tensor([[7, 65535]]))))
        tensor([[    7, 65535]])
    """
    return _CLASS_NUMBERS[name]() if name in _CLASS_NUMBERS else encoding(name)
