"""Which positions count, and means over them."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck.features import Feature


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


def mean_by_sample(values: Float[Tensor, "B N"], valid: Bool[Tensor, "B N"] | None) -> Float[Tensor, " B"]:
    """Mean over the valid positions of each sample; 0 for a sample without any.

    Example:
        >>> import torch
        >>> mean_by_sample(torch.tensor([[1.0, 3.0], [8.0, 2.0]]), torch.tensor([[True, True], [False, True]]))
        tensor([2., 2.])
    """
    if valid is None:
        return values.mean(1)
    return values.masked_fill(~valid, 0.0).sum(1) / valid.sum(1).clamp_min(1)


def valid_pair(
    student: Feature, teacher: Feature
) -> tuple[Float[Tensor, "B N S"], Float[Tensor, "B N T"], Bool[Tensor, "B N"] | None]:
    """Both sides' values with zeros where a position is not valid on either, and the positions that are on both.

    Example:
        >>> import torch
        >>> padded = Feature(torch.ones(1, 2, 1), mask=torch.tensor([[True, False]]))
        >>> valid_pair(Feature(torch.full((1, 2, 1), 7.0)), padded)[0].flatten()
        tensor([7., 0.])
    """
    valid = both_valid(student.mask, teacher.mask)
    return zeroed(student.x, valid), zeroed(teacher.x, valid), valid
