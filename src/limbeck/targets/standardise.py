"""A target whose channels all have mean 0 and deviation 1."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from limbeck.features import Feature
from limbeck.links import Link
from limbeck.targets.family import FittedTarget
from limbeck.targets.statistics import Moments, require_spread


class Standardise(FittedTarget):
    r"""Give every channel of the teacher mean 0 and deviation 1, by statistics that are taken once and then frozen.

    As in "UNIC: Universal Classification Models via Multi-teacher Distillation" (Sariyildiz et al., ECCV 2024),
    https://arxiv.org/abs/2408.05088:

    $$ \frac{t_{bnc} - \mu_c}{\max(\sigma_c, \, \epsilon \, \bar\sigma)}, \qquad
       \bar\sigma^2 = \frac1C \sum_c \sigma_c^2 $$

    with mean and deviation over samples and valid positions. Without it a few channels of large variance are most of a
    squared error; with it an MSE of 1 means that nothing is explained.

    Differs from the paper: frozen instead of moving, so that the objective stays the same; the floor is relative to
    the other channels, so that a dead channel, whose deviation is rounding noise, is not blown up to 1. It is the
    per-channel baseline in "PHI-S: Distribution Balancing for Label-Free Multi-Teacher Distillation" (Ranzinger et al.
    2024, https://arxiv.org/abs/2410.01680), not PHI-S itself, which rotates the channels and has a single scale.

    Shapes: ``[B, N, C]`` to ``[B, N, C]``, in float32 at least.

    Args:
        channels: ``C``.
        eps: smallest deviation, as a share of the root mean square of all; default: our choice.

    Raises:
        TeacherError: if it is used before :meth:`fit`, or the features it is fitted on are not finite or all constant.

    Example:
        >>> teacher = Feature(torch.tensor([[[1.0, 10.0]], [[3.0, 30.0]]]))
        >>> target = Standardise(2)
        >>> target.fit([teacher])
        >>> target(teacher).x.flatten()
        tensor([-1., -1.,  1.,  1.])
    """

    keeps_channels: ClassVar[bool] = False
    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int, /, *, eps: float = 1e-3) -> None:
        super().__init__()
        self.channels = channels
        self.eps = eps
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    @classmethod
    def for_link(cls, link: Link, /, *, eps: float = 1e-3) -> Standardise:
        """Build one with the sizes of a link."""
        return cls(link.teacher.channels, eps=eps)

    def statistics(self) -> Moments:
        """Mean and variance of every channel over all samples and valid positions, in float64."""
        return Moments(self.channels)

    @torch.no_grad()
    def settle(self, statistics: Moments, /) -> None:
        """Freeze mean and deviation."""
        variance = statistics.spread
        require_spread("Standardise", statistics.positions, statistics.mean, variance)
        deviation, typical = variance.sqrt(), variance.mean().sqrt()
        self.mean.copy_(statistics.mean)
        self.deviation.copy_(deviation.clamp_min(self.eps * typical))
        self.now_fitted()

    def forward(self, teacher: Feature, /) -> Feature:
        """Standardise with the frozen statistics."""
        self.require_fitted()
        # In the order in which a projector gives the student's side: a loss reads two orders at once far more slowly.
        return teacher.holding((teacher.x.contiguous() - self.mean) / self.deviation)

    def extra_repr(self) -> str:
        """Sizes and options."""
        return f"{self.channels}, eps={self.eps}"
