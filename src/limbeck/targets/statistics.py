"""Statistics of a teacher's channels, gathered over batches."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import TeacherError
from limbeck.features import Feature


class Moments:
    """How many positions there are, and mean and variance of every channel over them; in float64 on the CPU.

    Args:
        channels: how many.

    Attributes:
        positions: how many valid ones were seen.
        mean: of every channel.

    Example:
        >>> found = Moments(1)
        >>> for value in (1.0, 3.0):
        ...     found.add(Feature(torch.tensor([[[value]]])))
        >>> found.mean.item(), found.spread.item()
        (2.0, 1.0)
    """

    def __init__(self, channels: int) -> None:
        self.positions = 0
        self.mean = torch.zeros(channels, dtype=torch.float64, device="cpu")
        self._scatter = self._products(self.mean.unsqueeze(0))

    def add(self, feature: Feature, /) -> None:
        """Take in one batch."""
        rows = valid_rows(feature)
        if len(rows) == 0:
            return
        # Merging the deviations of two parts (Chan et al. 1983) stays exact where a mean is far from zero.
        own, total = rows.mean(0), self.positions + len(rows)
        apart = own - self.mean
        self._scatter += self._products(rows - own)
        self._scatter += self._products(apart.unsqueeze(0)) * (self.positions * len(rows) / total)
        self.mean += apart * (len(rows) / total)
        self.positions = total

    @property
    def spread(self) -> Float[Tensor, "*_"]:
        """The variance of every channel."""
        return self._scatter / max(self.positions, 1)

    def _products(self, rows: Float[Tensor, "M C"]) -> Float[Tensor, "*_"]:
        return rows.square().sum(0)


class Covariance(Moments):
    """As :class:`Moments`, with the covariance of every channel with every other.

    Example:
        >>> found = Covariance(2)
        >>> found.add(Feature(torch.tensor([[[1.0, 0.0]], [[3.0, 0.0]]])))
        >>> found.spread.tolist()
        [[1.0, 0.0], [0.0, 0.0]]
    """

    def _products(self, rows: Float[Tensor, "M C"]) -> Float[Tensor, "*_"]:
        return rows.T @ rows


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
