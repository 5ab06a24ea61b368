"""Means and deviations of channels over those positions that count."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import zeroed


def position_moments(
    x: Float[Tensor, "B N C"], valid: Bool[Tensor, "B N"] | None
) -> tuple[Float[Tensor, "B C"], Float[Tensor, "B C"]]:
    """Mean and unbiased variance of every channel over the valid positions of each sample.

    One valid position has the variance 0; none has the mean 0 too.

    Example:
        >>> import torch
        >>> mean, variance = position_moments(torch.tensor([[[1.0], [3.0]]]), None)
        >>> mean.item(), variance.item()
        (2.0, 2.0)
    """
    count = x.new_full((1, 1), x.shape[1]) if valid is None else valid.sum(1, keepdim=True).to(x.dtype)
    mean = zeroed(x, valid).sum(1) / count.clamp_min(1)
    deviation = zeroed(x - mean.unsqueeze(1), valid)
    return mean, deviation.square().sum(1) / (count - 1).clamp_min(1)


def batch_moments(
    x: Float[Tensor, "B N C"], valid: Bool[Tensor, "B N"] | None
) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"], int | Tensor]:
    """Mean and biased variance of every channel over all valid positions of the batch, and how many these are.

    Example:
        >>> import torch
        >>> mean, variance, count = batch_moments(torch.tensor([[[1.0]], [[5.0]]]), None)
        >>> mean.item(), variance.item(), count
        (3.0, 4.0, 2)
    """
    count = _count(x, valid)
    mean = zeroed(x, valid).sum((0, 1)) / count
    return mean, zeroed(x - mean, valid).square().sum((0, 1)) / count, count


def centred_positions(x: Float[Tensor, "B N C"], valid: Bool[Tensor, "B N"] | None) -> Float[Tensor, "B N C"]:
    """Every channel less its mean over all valid positions of the batch, and zeros at all others.

    Example:
        >>> import torch
        >>> centred_positions(torch.tensor([[[1.0]], [[3.0]]]), None).flatten()
        tensor([-1.,  1.])
    """
    return zeroed(x - zeroed(x, valid).sum((0, 1)) / _count(x, valid), valid)


def standardised(x: Float[Tensor, "B N C"], valid: Bool[Tensor, "B N"] | None, *, eps: float) -> Float[Tensor, "B N C"]:
    """Every channel with mean 0 and variance 1 over all valid positions of the batch, and zeros at all others.

    As batch normalisation in training without scale and shift: the biased variance, with ``eps`` added.

    Example:
        >>> import torch
        >>> standardised(torch.tensor([[[1.0]], [[5.0]]]), None, eps=0.0).flatten()
        tensor([-1.,  1.])
    """
    centred = centred_positions(x, valid)
    return centred / (centred.square().sum((0, 1)) / _count(x, valid) + eps).sqrt()


def channel_correlation(
    student: Float[Tensor, "B N S"], teacher: Float[Tensor, "B N T"], valid: Bool[Tensor, "B N"] | None
) -> Float[Tensor, "S T"]:
    """The mean of every product of a student's and a teacher's channel over all valid positions.

    Both sides hold zeros at all others, as :func:`standardised` leaves them.
    """
    return student.flatten(0, 1).T @ teacher.flatten(0, 1) / _count(student, valid)


def _count(x: Float[Tensor, "B N C"], valid: Bool[Tensor, "B N"] | None) -> int | Tensor:
    return x.shape[0] * x.shape[1] if valid is None else valid.sum().clamp_min(1)
