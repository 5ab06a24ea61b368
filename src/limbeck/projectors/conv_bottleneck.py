"""Three convolutions with few channels in the middle."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from limbeck._math.layers import convolve, linear
from limbeck._math.masking import zeroed
from limbeck._math.moments import batch_moments
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.projectors.family import Projector
from limbeck.projectors.grid_of import grid_of
from limbeck.projectors.resample import Resample

_EPS = 1e-5
_NEWEST = 0.1


class ConvBottleneck(Projector):
    r"""Predict every position of the target through a narrow layer that looks at the positions around it.

    From "Knowledge Distillation with the Reused Teacher Classifier" (Chen et al., CVPR 2022),
    https://arxiv.org/abs/2203.14001, which keeps it in the student that it deploys:

    $$ p = W_3 \, \phi_2(W_2 * \phi_1(W_1 \tilde x)) + b_3, \qquad \phi = \mathrm{ReLU} \circ \mathrm{BN} $$

    with $\tilde x$ the student's positions brought to the target's (:class:`~limbeck.projectors.Resample`), $W_1$ and
    $W_3$ the same at every position, $W_2$ a convolution of width 3 along each axis of the grid, and $C_t / f$ channels
    in the middle. BN takes mean and variance over samples and valid positions of the batch, in evaluation their running
    averages, and has scale and shift. :class:`~limbeck.distiller.Lifted` keeps it at inference.

    Differs from the paper: the last ReLU and BN are left out, because a target need not be positive.

    Shapes: student ``[B, Ns, Cs]`` to ``[B, Nt, Ct]``.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``, as the targets leave it.
        axes: how many axes the target's grid has, 1 to 3.
        factor: $f$; default 2: paper.
        grid: the target's grid, ``None`` to leave the positions.

    Raises:
        ShapeMismatch: if the target has no grid, or prefix tokens, or the positions do not correspond.
        RecipeError: if the factor leaves no channel, or there are not 1 to 3 axes.

    Example:
        >>> projector = ConvBottleneck(2, 4, axes=1)
        >>> projector(Feature(torch.randn(5, 6, 2), grid=(6,))).x.shape
        torch.Size([5, 6, 4])
        >>> projector.parameter_count   # 2 x 2, 2 x 2 x 3, 4 x 2 + 4, twice 2 + 2
        36
    """

    aligns: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS | Match.GRID
    needs_grid: ClassVar[bool] = True
    mean: Tensor
    variance: Tensor

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        /,
        *,
        axes: int,
        factor: int = 2,
        grid: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        if not 1 <= factor <= teacher_channels or axes not in {1, 2, 3}:
            raise RecipeError(
                f"ConvBottleneck needs a factor from 1 to the target's {teacher_channels} channels and a grid of 1 to "
                f"3 axes. Found factor={factor}, axes={axes}."
            )
        self.axes = axes
        self.factor = factor
        self.positions = Resample(grid=grid)
        narrow = teacher_channels // factor
        self.narrow = nn.Linear(student_channels, narrow, bias=False)
        self.around = nn.Parameter(nn.init.kaiming_normal_(torch.empty(narrow, narrow, *(3,) * axes)))
        self.widen = nn.Linear(narrow, teacher_channels)
        self.scale = nn.Parameter(torch.ones(2, narrow))
        self.shift = nn.Parameter(torch.zeros(2, narrow))
        self.register_buffer("mean", torch.zeros(2, narrow))
        self.register_buffer("variance", torch.ones(2, narrow))

    @classmethod
    def for_link(cls, link: Link, /, *, factor: int = 2) -> ConvBottleneck:
        """Build one with the sizes of a link."""
        axes, positions = len(grid_of(link, cls.__name__)), Resample.for_link(link)
        return cls(link.student.channels, link.teacher.channels, axes=axes, factor=factor, grid=positions.grid)

    def forward(self, student: Feature, /) -> Feature:
        """Project; the mask goes with the positions."""
        feature = self.positions(student)
        # A student in half precision meets a projector in full; autocast, where it is on, decides for itself.
        x = linear(zeroed(feature.x, feature.mask).to(self.scale.dtype), self.narrow.weight)
        x = self._activated(x, feature.mask, 0)
        x = convolve(x, feature.grid or (), self.around)
        x = self._activated(x, feature.mask, 1)
        return feature.holding(linear(x, self.widen.weight, self.widen.bias))

    def _activated(
        self, x: Float[Tensor, "B N C"], mask: Bool[Tensor, "B N"] | None, layer: int
    ) -> Float[Tensor, "B N C"]:
        x = Feature(x).full_precision().x
        mean, variance = self._moments(x, mask, layer)
        x = (x - mean) / (variance + _EPS).sqrt() * self.scale[layer] + self.shift[layer]
        return zeroed(x.relu(), mask)

    def _moments(
        self, x: Float[Tensor, "B N C"], mask: Bool[Tensor, "B N"] | None, layer: int
    ) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
        """Of the batch in training, where the running averages move on; in evaluation these."""
        if not self.training:
            return self.mean[layer], self.variance[layer]
        mean, variance, count = batch_moments(x, mask)
        with torch.no_grad():
            # As torch's batch normalisation: the unbiased variance, a tenth of the newest.
            others = max(1, count - 1) if isinstance(count, int) else (count - 1).clamp_min(1)
            unbiased = variance * count / others
            self.mean[layer].lerp_(mean.to(self.mean.dtype), _NEWEST)
            self.variance[layer].lerp_(unbiased.to(self.variance.dtype), _NEWEST)
        return mean, variance

    def extra_repr(self) -> str:
        """Sizes and options."""
        return (
            f"{self.narrow.in_features}, {self.widen.out_features}, axes={self.axes}, factor={self.factor}, "
            f"grid={self.positions.grid}"
        )
