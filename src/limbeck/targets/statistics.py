"""Statistics of a teacher's channels, gathered over batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import TeacherError
from limbeck.features import Feature


class Spread(NamedTuple):
    """Over all samples and valid positions, in float64 on the CPU.

    Attributes:
        positions: how many.
        mean: of every channel.
        covariance: of every channel with every other.
    """

    positions: int
    mean: Float[Tensor, " C"]
    covariance: Float[Tensor, "C C"]


def spread(features: Iterable[Feature], channels: int) -> Spread:
    """Mean and covariance of all channels; one batch is held at a time.

    Example:
        >>> found = spread([Feature(torch.tensor([[[1.0]]])), Feature(torch.tensor([[[3.0]]]))], 1)
        >>> found.mean.item(), found.covariance.item()
        (2.0, 1.0)
    """
    count, mean = 0, torch.zeros(channels, dtype=torch.float64, device="cpu")
    scatter = torch.zeros(channels, channels, dtype=torch.float64, device="cpu")
    for feature in features:
        rows = valid_rows(feature)
        if len(rows) == 0:
            continue
        # Merging the deviations of two parts (Chan et al. 1983) stays exact where a mean is far from zero.
        own, total = rows.mean(0), count + len(rows)
        apart = own - mean
        scatter += (rows - own).T @ (rows - own) + torch.outer(apart, apart) * (count * len(rows) / total)
        mean += apart * (len(rows) / total)
        count = total
    return Spread(count, mean, scatter / max(count, 1))


def require_spread(name: str, count: int, mean: Float[Tensor, " C"], variance: Float[Tensor, " C"]) -> None:
    """Refuse features that are not finite, or all constant.

    Raises:
        TeacherError: naming the target that was to be fitted.
    """
    typical = variance.mean().sqrt()
    if not (torch.isfinite(typical) and torch.isfinite(mean).all() and typical > 0):
        raise TeacherError(
            f"{name} needs features that are finite and vary. Found {count} positions of {len(mean)} channels with a "
            f"typical deviation of {typical.item():.3g}. Leave the site out of the plan, or check the teacher's "
            "weights and inputs."
        )


def principal_axes(covariance: Float[Tensor, "C C"]) -> tuple[Float[Tensor, " C"], Float[Tensor, "C C"]]:
    """Variances along the principal axes, largest first, and the axes as rows, each with a fixed sign.

    Example:
        >>> variances, axes = principal_axes(torch.tensor([[1.0, 0.0], [0.0, 4.0]]))
        >>> variances.tolist(), axes.tolist()
        ([4.0, 1.0], [[0.0, 1.0], [1.0, 0.0]])
    """
    variances, vectors = torch.linalg.eigh(covariance)
    axes = vectors.flip(1).T
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    return variances.flip(0).clamp_min(0.0), axes * torch.where(largest < 0, -1.0, 1.0).to(axes)


def valid_rows(feature: Feature) -> Float[Tensor, "M C"]:
    """Every valid position as a row, in float64 on the CPU: not every device has it, and a few batches are cheap."""
    x = feature.x.detach()
    rows = x.flatten(0, 1) if feature.mask is None else x[feature.mask]
    return rows.cpu().double()
