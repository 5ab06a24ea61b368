"""By what a cache knows that it still fits: the teacher's weights and the data, as short hashes of their content."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.cache.comparing import compared
from limbeck.cache.keyed import Keyed

_SAMPLES = 8


def weights_hash(model: nn.Module) -> str:
    """A hash of names, shapes, types and values of all parameters and buffers.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> before = weights_hash(model)
        >>> with torch.no_grad():
        ...     _ = model.bias.add_(1.0)
        >>> weights_hash(model) == before
        False
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            _add(digest, name, value)
    return digest.hexdigest()


def data_hash(data: Keyed) -> str:
    """A hash of a few samples in view 0, spread over the data set.

    Another transform, another order of files or another version of the data changes it.
    """
    digest = hashlib.blake2b(digest_size=16)
    count = min(_SAMPLES, len(data.base))
    for index in {place * len(data.base) // count for place in range(count)}:
        for each in compared(data.of_base(index, view=0)):
            _add(digest, str(index), each)
    return digest.hexdigest()


def _add(digest: Any, name: str, value: Tensor) -> None:
    digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
    flat = value.detach().cpu().contiguous().reshape(-1)
    digest.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
