"""Which positions count, and means over them."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor


def both_valid(student: Bool[Tensor, "B N"] | None, teacher: Bool[Tensor, "B N"] | None) -> Bool[Tensor, "B N"] | None:
    """The positions that are valid on both sides; ``None`` where every position is.

    Example:
        >>> import torch
        >>> both_valid(torch.tensor([[True, True]]), torch.tensor([[True, False]]))
        tensor([[ True, False]])
    """
    if student is None or teacher is None:
        return teacher if student is None else student
    return student & teacher


def zeroed(x: Float[Tensor, "B N C"], valid: Bool[Tensor, "B N"] | None) -> Float[Tensor, "B N C"]:
    """``x`` with zeros where a position is not valid, whatever stood there (NaN included)."""
    return x if valid is None else x.masked_fill(~valid.unsqueeze(-1), 0.0)


def masked_mean(values: Float[Tensor, "*shape"], valid: Bool[Tensor, "*shape"] | None) -> Float[Tensor, ""]:
    """Mean over the valid entries; 0 if there is none.

    Example:
        >>> import torch
        >>> masked_mean(torch.tensor([1.0, 3.0, 8.0]), torch.tensor([True, True, False]))
        tensor(2.)
    """
    if valid is None:
        return values.mean()
    return values.masked_fill(~valid, 0.0).sum() / valid.sum().clamp_min(1)
