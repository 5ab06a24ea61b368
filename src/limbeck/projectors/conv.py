"""One convolution over the grid."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import nn

from limbeck._math.layers import convolve
from limbeck._math.masking import zeroed
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.projectors.family import Projector
from limbeck.projectors.grid_of import grid_of
from limbeck.projectors.resample import Resample


class Conv(Projector):
    r"""Predict every position of the target from the student's positions around it.

    The convolutional regressor of "FitNets: Hints for Thin Deep Nets" (Romero et al., ICLR 2015),
    https://arxiv.org/abs/1412.6550:

    $$ p_n = \sum_{d \in \{-r \dots r\}^D} W_d \, \tilde x_{n + d} + b $$

    with $\tilde x$ the student's positions brought to the target's (:class:`~limbeck.projectors.Resample`), on a grid
    of $D$ axes, 1 for a sequence; outside of the grid and at padded positions $\tilde x = 0$.

    Differs from the paper: its kernel is as large as the difference of the two grids, which pooling has evened out
    here; there is no ReLU at the end, which could not predict a standardised target. $W$ starts so that all outputs
    have the variance of the inputs, $b$ at zero.

    Shapes: student ``[B, Ns, Cs]`` to ``[B, Nt, Ct]``.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``, as the targets leave it.
        axes: $D$, how many axes the target's grid has, 1 to 3.
        kernel: $2 r + 1$, odd; default 3: official code of CRD.
        grid: the target's grid, ``None`` to leave the positions.

    Raises:
        ShapeMismatch: if the target has no grid, or prefix tokens, or the positions do not correspond.
        RecipeError: if the kernel is even, or there are not 1 to 3 axes.

    Example:
        >>> projector = Conv(2, 3, axes=2)
        >>> projector(Feature(torch.ones(5, 16, 2), grid=(4, 4))).x.shape, projector.parameter_count
        (torch.Size([5, 16, 3]), 57)
    """

    aligns: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS | Match.GRID
    needs_grid: ClassVar[bool] = True

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        /,
        *,
        axes: int,
        kernel: int = 3,
        grid: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0 or axes not in {1, 2, 3}:
            raise RecipeError(
                f"Conv needs an odd kernel and a grid of 1 to 3 axes. Found kernel={kernel}, axes={axes}."
            )
        self.axes = axes
        self.kernel = kernel
        self.positions = Resample(grid=grid)
        self.weight = nn.Parameter(torch.empty(teacher_channels, student_channels, *(kernel,) * axes))
        self.bias = nn.Parameter(torch.zeros(teacher_channels))
        nn.init.normal_(self.weight, std=1 / math.sqrt(student_channels * kernel**axes))

    @classmethod
    def for_link(cls, link: Link, /, *, kernel: int = 3) -> Conv:
        """Build one with the sizes of a link."""
        axes, positions = len(grid_of(link, cls.__name__)), Resample.for_link(link)
        return cls(link.student.channels, link.teacher.channels, axes=axes, kernel=kernel, grid=positions.grid)

    def forward(self, student: Feature, /) -> Feature:
        """Project; the mask goes with the positions."""
        feature = self.positions(student)
        # A student in half precision meets a projector in full; autocast, where it is on, decides for itself.
        x = zeroed(feature.x, feature.mask).to(self.weight.dtype)
        return feature.holding(convolve(x, feature.grid or (), self.weight, self.bias))

    def extra_repr(self) -> str:
        """Sizes and options."""
        teacher_channels, student_channels = self.weight.shape[:2]
        return (
            f"{student_channels}, {teacher_channels}, axes={self.axes}, kernel={self.kernel}, "
            f"grid={self.positions.grid}"
        )
