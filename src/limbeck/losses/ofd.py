"""Overhaul of feature distillation."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import both_valid, zeroed
from limbeck._math.reduction import sum_by_sample
from limbeck.context import Heads
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.losses.family import FeatureLoss
from limbeck.losses.sizes import require_channels


class OFD(FeatureLoss):
    r"""Predict the teacher's positive values, and be no higher than it where it is not.

    From "A Comprehensive Overhaul of Feature Distillation" (Heo et al., ICCV 2019), https://arxiv.org/abs/1904.01866:

    $$ \frac1B \sum_{(b, n) \in V} \sum_c \begin{cases} 0 & s_{bnc} \le \hat t_{bnc} \le 0 \\
       (s_{bnc} - \hat t_{bnc})^2 & \text{else} \end{cases}, \qquad
       \hat t_{bnc} = \max(t_{bnc}, \, m_c), \quad m_c = \mathbb{E}[t_c \mid t_c < 0] $$

    over the positions $V$ that are valid on both sides. Both features are taken *before* the ReLU. The sum depends on
    the layer's size: the official code multiplies it with 1/1000, and with another ½ for each layer below the last.
    With ``mean`` it is divided by positions and channels.

    Differs from the paper: the margin $m_c$ is the mean of the channel's negative values over the first batches of the
    training, where the paper computes it from a batch norm in front, as if values were normal; so it needs no batch
    norm. It is 0 for a channel that has not been negative so far. Each process takes its own batches, unless a
    wrapper keeps their buffers alike, as DDP does with those of the first.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        channels: ``C``.
        batches: over how many batches of the training the margins are taken, then they stay; default 100: our choice.
        mean: mean over all values instead of the sum over those of a sample; default: paper.

    Raises:
        ShapeMismatch: if channels or positions differ, or the channels are not those it was built for.
        RecipeError: if ``batches`` is below 1.

    Example:
        >>> loss = OFD(3)
        >>> teacher = Feature(torch.tensor([[[3.0, -1.0, -1.0]], [[3.0, -3.0, -3.0]]]))   # margins 0, -2, -2
        >>> student = Feature(torch.tensor([[[1.0, -5.0, -5.0]], [[3.0, -5.0, 1.0]]]))
        >>> loss(student, teacher)   # 2 squared too low, and 3 squared too high, in two samples
        tensor(6.5000)
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS
    needs_raw_target: ClassVar[bool] = True
    margin: Tensor
    negatives: Tensor
    seen: Tensor

    def __init__(self, channels: int, /, *, batches: int = 100, mean: bool = False) -> None:
        super().__init__()
        if batches < 1:
            raise RecipeError(
                f"OFD needs at least 1 batch to take its margins from. Found {batches}. The default is 100."
            )
        self.channels = channels
        self.batches = batches
        self.mean = mean
        self.register_buffer("margin", torch.zeros(channels))
        self.register_buffer("negatives", torch.zeros(channels))
        self.register_buffer("seen", torch.tensor(0))

    @classmethod
    def for_link(cls, link: Link, _heads: Heads, /, *, batches: int = 100, mean: bool = False) -> OFD:
        """Build one with the sizes of a link."""
        return cls(link.teacher.channels, batches=batches, mean=mean)

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        require_channels(self, "teacher", teacher, self.channels)
        valid = both_valid(student.mask, teacher.mask)
        s, t = zeroed(student.x, valid), zeroed(teacher.x, valid)
        if self.training:
            self._take_margins(t)
        target = torch.maximum(t, self.margin.to(t.dtype))
        counts = (s > target) | (target > 0)
        return sum_by_sample(zeroed((s - target).square() * counts, valid), valid, mean=self.mean)

    @torch.no_grad()
    def _take_margins(self, teacher: Float[Tensor, "B N C"]) -> None:
        # Without branches on the device's numbers, which would wait for it. Positions that are not valid hold zeros.
        negative: Bool[Tensor, "B N C"] = (teacher < 0) & (self.seen < self.batches)
        count = negative.sum((0, 1)).to(self.negatives.dtype)
        total = (teacher * negative).sum((0, 1)).to(self.margin.dtype)
        self.negatives += count
        self.margin += (total - count * self.margin) / self.negatives.clamp_min(1.0)
        self.seen += 1

    def extra_repr(self) -> str:
        """Sizes and options."""
        return f"{self.channels}, batches={self.batches}, mean={self.mean}"
