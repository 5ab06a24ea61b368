"""A target whose channels all have deviation 1, by a rotation and one scale."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from limbeck._math.equal_diagonal import equal_diagonal
from limbeck._math.layers import linear
from limbeck.features import Feature
from limbeck.links import Link
from limbeck.targets.family import FittedTarget
from limbeck.targets.statistics import Covariance, principal_axes, require_spread


class PHIS(FittedTarget):
    r"""Rotate the teacher's channels so that all have the same variance, then divide them by one number.

    From "PHI-S: Distribution Balancing for Label-Free Multi-Teacher Distillation" (Ranzinger et al. 2024),
    https://arxiv.org/abs/2410.01680:

    $$ \frac{1}{\bar\sigma} \, R \, U^\top (t_{bn} - \mu), \qquad \mathrm{Cov}(t) = U \Lambda U^\top, \qquad
       R = \frac{1}{\sqrt C} H, \qquad \bar\sigma^2 = \frac1C \sum_c \lambda_c $$

    with a Hadamard matrix $H$, and $\mu$ and the covariance over samples and valid positions, taken once and frozen.
    Every channel has variance 1, and yet only a rotation and one scale lie in between: a squared error is the teacher's
    own up to that factor, where :class:`~limbeck.targets.Standardise` stretches channels of little variance. An MSE of
    1 means that nothing is explained.

    Differs from the paper: where no Hadamard matrix of $C$ rows is found (by Sylvester, Paley or as a product of such),
    $R$ is made of $C - 1$ rotations of two axes each, after which all variances are as equal, instead of an approximate
    Hadamard matrix.

    Shapes: ``[B, N, C]`` to ``[B, N, C]``, in float32 at least.

    Args:
        channels: ``C``.

    Raises:
        TeacherError: if it is used before :meth:`fit`, or the features it is fitted on are not finite or all constant.

    Example:
        >>> teacher = Feature(torch.randn(500, 1, 4) * torch.tensor([1.0, 2.0, 3.0, 10.0]))
        >>> target = PHIS(4)
        >>> target.fit([teacher])
        >>> target(teacher).x.var(0, unbiased=False).round(decimals=3)
        tensor([[1., 1., 1., 1.]])
    """

    keeps_channels: ClassVar[bool] = False
    mean: Tensor
    rotation: Tensor
    scale: Tensor

    def __init__(self, channels: int, /) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("rotation", torch.eye(channels))
        self.register_buffer("scale", torch.tensor(1.0))

    @classmethod
    def for_link(cls, link: Link, /) -> PHIS:
        """Build one with the sizes of a link."""
        return cls(link.teacher.channels)

    def statistics(self) -> Covariance:
        """Mean and covariance over all samples and valid positions, in float64."""
        return Covariance(self.channels)

    @torch.no_grad()
    def settle(self, statistics: Covariance, /) -> None:
        """Freeze mean and principal axes."""
        mean, covariance = statistics.mean, statistics.spread
        require_spread("PHIS", statistics.positions, mean, covariance.diagonal())
        variances, axes = principal_axes(covariance)
        self.mean.copy_(mean)
        self.rotation.copy_(equal_diagonal(variances) @ axes)
        self.scale.copy_(variances.mean().sqrt())
        self.now_fitted()

    def forward(self, teacher: Feature, /) -> Feature:
        """Rotate and scale, in full precision."""
        self.require_fitted()
        x = teacher.full_precision().x
        with torch.autocast(x.device.type, enabled=False):
            return teacher.holding(linear(x - self.mean, self.rotation) / self.scale)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.channels}"
