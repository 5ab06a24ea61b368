"""Pearson's correlation of rows."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_EPS = 1e-8


def pearson(
    first: Float[Tensor, "R D"], second: Float[Tensor, "R D"], valid: Bool[Tensor, " D"] | None = None
) -> Float[Tensor, " R"]:
    """Correlation of each row with the same row of the other matrix, over the valid columns; 0 where a row is constant.

    Example:
        >>> pearson(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[30.0, 20.0, 10.0]]))
        tensor([-1.])
    """
    a, b = _centred(first, valid), _centred(second, valid)
    lengths = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    return (a * b).sum(1) / (lengths + _EPS)


def _centred(x: Float[Tensor, "R D"], valid: Bool[Tensor, " D"] | None) -> Float[Tensor, "R D"]:
    if valid is None:
        return x - x.sum(1, keepdim=True) / x.shape[1]
    kept = x.masked_fill(~valid, 0.0)
    return (x - kept.sum(1, keepdim=True) / valid.sum().clamp_min(1)).masked_fill(~valid, 0.0)
