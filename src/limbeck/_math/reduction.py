"""Sums over a sample's values, for the losses that publish one."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import masked_mean, zeroed


def sum_by_sample(
    values: Float[Tensor, "B N C"], valid: Bool[Tensor, "B N"] | None, *, mean: bool
) -> Float[Tensor, ""]:
    """The sum over valid positions and channels of each sample, averaged over samples; or the mean over all of them.

    Example:
        >>> import torch
        >>> values = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]])
        >>> sum_by_sample(values, None, mean=False), sum_by_sample(values, None, mean=True)
        (tensor(5.), tensor(2.5000))
    """
    if mean:
        return masked_mean(values.mean(-1), valid)
    return zeroed(values, valid).sum((1, 2)).mean()
