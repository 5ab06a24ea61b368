"""A target of fewer channels, along which the teacher varies most."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from limbeck._math.layers import linear
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.targets.family import FittedTarget
from limbeck.targets.statistics import Covariance, principal_axes, require_spread


class PCA(FittedTarget):
    r"""Keep the principal components of the teacher's channels, as many as the student has channels.

    Our choice, for students that are much narrower than their teacher, by the principal components of Pearson (1901):

    $$ \frac{1}{\bar\sigma} \, U_d^\top (t_{bn} - \mu), \qquad \mathrm{Cov}(t) = U \Lambda U^\top, \qquad
       \bar\sigma^2 = \frac1d \sum_{c \le d} \lambda_c $$

    with the $d$ axes of largest variance, and $\mu$ and the covariance over samples and valid positions, taken once and
    frozen. One scale for all: a squared error is the teacher's own within these axes, and an MSE of 1 means that
    nothing of them is explained. To whiten them let :class:`~limbeck.targets.Standardise` follow.

    Shapes: ``[B, N, C]`` to ``[B, N, d]``, in float32 at least.

    Args:
        channels: ``C``.
        components: $d$.

    Raises:
        RecipeError: if there are no components, or more than channels.
        TeacherError: if it is used before :meth:`fit`, or the features it is fitted on are not finite or all constant.

    Example:
        >>> teacher = Feature(torch.randn(500, 1, 1) * torch.tensor([3.0, 4.0]))   # all along one direction
        >>> target = PCA(2, components=1)
        >>> target.fit([teacher])
        >>> target(teacher).x.var(0, unbiased=False).round(decimals=3)
        tensor([[1.]])
    """

    keeps_channels: ClassVar[bool] = False
    mean: Tensor
    axes: Tensor
    scale: Tensor

    def __init__(self, channels: int, /, *, components: int) -> None:
        super().__init__()
        if not 1 <= components <= channels:
            raise RecipeError(
                f"PCA needs 1 to {channels} components, one for each channel at most. Found {components}."
            )
        self.channels = channels
        self.components = components
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("axes", torch.eye(channels)[:components].clone())
        self.register_buffer("scale", torch.tensor(1.0))

    @classmethod
    def for_link(cls, link: Link, /, *, components: int | None = None) -> PCA:
        """Build one with the sizes of a link.

        Args:
            link: the two sites.
            components: $d$; the student's channels if not given, or the teacher's if those are fewer: our choice.
        """
        channels = link.teacher.channels
        return cls(channels, components=min(link.student.channels, channels) if components is None else components)

    def statistics(self) -> Covariance:
        """Mean and covariance over all samples and valid positions, in float64."""
        return Covariance(self.channels)

    @torch.no_grad()
    def settle(self, statistics: Covariance, /) -> None:
        """Freeze mean and principal axes."""
        mean, covariance = statistics.mean, statistics.spread
        require_spread("PCA", statistics.positions, mean, covariance.diagonal())
        variances, axes = principal_axes(covariance)
        self.mean.copy_(mean)
        self.axes.copy_(axes[: self.components])
        self.scale.copy_(variances[: self.components].mean().sqrt())
        self.now_fitted()

    def forward(self, teacher: Feature, /) -> Feature:
        """Project onto the axes, in full precision."""
        self.require_fitted()
        x = teacher.full_precision().x
        with torch.autocast(x.device.type, enabled=False):
            return teacher.holding(linear(x - self.mean, self.axes) / self.scale)

    def describe(self, spec: FeatureSpec, /) -> FeatureSpec:
        """The teacher's spec with fewer channels."""
        return dataclasses.replace(spec, channels=self.components)

    def extra_repr(self) -> str:
        """Sizes."""
        return f"{self.channels}, components={self.components}"
