"""Masked generative distillation."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from limbeck._math.layers import convolve
from limbeck._math.masking import both_valid, zeroed
from limbeck._math.reduction import sum_by_sample
from limbeck.context import Heads
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.losses.family import FeatureLoss
from limbeck.losses.sizes import require_channels, require_grid

_CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class MGD(FeatureLoss):
    r"""Let the teacher's whole feature be generated from a part of the student's.

    From "Masked Generative Distillation" (Yang et al., ECCV 2022), https://arxiv.org/abs/2205.01529:

    $$ \frac1B \sum_{(b, n) \in V} \sum_c \bigl(G(s \odot m)_{bnc} - t_{bnc}\bigr)^2, \qquad
       G(x) = W_2 * \mathrm{ReLU}(W_1 * x) $$

    over the positions $V$ that are valid on both sides. In training $m$ is 0 for a random share of channels or
    positions of each sample and 1 elsewhere, drawn anew each time; in evaluation it is 1. The loss learns $G$, two
    convolutions of width 3 over the grid (over a sequence in one direction). Prefix tokens do not take part.

    The sum depends on the layer's size: published weights are 7e-5 for classification and 2e-5 for detection. With
    ``mean`` it is divided by positions and channels.

    Differs from the paper: hidden activations at padded positions are zero, as they are outside of the grid.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``, on one grid.

    Args:
        channels: ``C``.
        axes: how many axes the grid has, 1 to 3.
        hidden_channels: chance of a channel to be hidden; default 0.15: paper, classification.
        hidden_positions: chance of a position to be hidden; default 0: paper, classification (detection hides 0.65 of
            the positions and no channels).
        mean: mean over all values instead of the sum over those of a sample; default: paper.

    Raises:
        ShapeMismatch: if channels or grid differ, or are not those it was built for.
        RecipeError: if a chance is not in [0, 1), or there are no convolutions over so many ``axes``.

    Example:
        >>> loss = MGD(4, axes=2)
        >>> student, teacher = (Feature(torch.randn(2, 9, 4), grid=(3, 3)) for _ in range(2))
        >>> loss(student, teacher).backward()
        >>> sum(each.numel() for each in loss.parameters())   # twice 4 x 4 x 3 x 3 and 4 for the bias
        296
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.GRID
    zero_when_equal: ClassVar[bool] = False

    def __init__(
        self,
        channels: int,
        /,
        *,
        axes: int = 2,
        hidden_channels: float = 0.15,
        hidden_positions: float = 0.0,
        mean: bool = False,
    ) -> None:
        super().__init__()
        if axes not in _CONVOLUTION or not (0 <= hidden_channels < 1 and 0 <= hidden_positions < 1):
            raise RecipeError(
                "MGD needs a grid of 1 to 3 axes and chances to hide of at least 0 and below 1. Found "
                f"axes={axes}, hidden_channels={hidden_channels}, hidden_positions={hidden_positions}."
            )
        self.channels = channels
        self.axes = axes
        self.hidden_channels = hidden_channels
        self.hidden_positions = hidden_positions
        self.mean = mean
        self.first = _CONVOLUTION[axes](channels, channels, 3, padding=1)
        self.second = _CONVOLUTION[axes](channels, channels, 3, padding=1)

    @classmethod
    def for_link(
        cls,
        link: Link,
        _heads: Heads,
        /,
        *,
        hidden_channels: float = 0.15,
        hidden_positions: float = 0.0,
        mean: bool = False,
    ) -> MGD:
        """Build one with the sizes of a link."""
        return cls(
            link.teacher.channels,
            axes=len(require_grid(link, cls.__name__)),
            hidden_channels=hidden_channels,
            hidden_positions=hidden_positions,
            mean=mean,
        )

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        require_channels(self, "student", student, self.channels)
        student, teacher = student.body(), teacher.body()
        valid = both_valid(student.mask, teacher.mask)
        visible = zeroed(student.x, valid) * self._mask(student.x)
        generated = self._generated(visible, student.grid or (), valid)
        return sum_by_sample((zeroed(generated, valid) - zeroed(teacher.x, valid)).square(), valid, mean=self.mean)

    def _generated(
        self, x: Float[Tensor, "B N C"], grid: tuple[int, ...], valid: Bool[Tensor, "B N"] | None
    ) -> Float[Tensor, "B N C"]:
        hidden = convolve(x, grid, self.first.weight, self.first.bias).relu()
        return convolve(zeroed(hidden, valid), grid, self.second.weight, self.second.bias)

    def _mask(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        if not self.training:
            return torch.ones_like(x)
        channels = torch.rand_like(x[:, :1]) >= self.hidden_channels
        positions = torch.rand_like(x[:, :, :1]) >= self.hidden_positions
        return (channels & positions).to(x.dtype)

    def extra_repr(self) -> str:
        """Sizes and options."""
        return (
            f"{self.channels}, axes={self.axes}, hidden_channels={self.hidden_channels}, "
            f"hidden_positions={self.hidden_positions}, mean={self.mean}"
        )
