"""Prime-aware adaptive distillation."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck._math.layers import linear
from limbeck._math.masking import both_valid, mean_by_sample, zeroed
from limbeck.context import Heads
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.losses.family import FeatureLoss
from limbeck.losses.sizes import require_channels


class PAD(FeatureLoss):
    r"""Predict the teacher's values, and for every sample how well that will go; easy samples count most.

    From "Prime-Aware Adaptive Distillation" (Zhang et al., ECCV 2020), https://arxiv.org/abs/2008.01458:

    $$ \frac1B \sum_b \left[ e^{-v_b} \, \frac{1}{|V_b| \, C} \sum_{n \in V_b} \sum_c (s_{bnc} - t_{bnc})^2
       + v_b \right], \qquad v_b = w^\top \bar s_b + \beta $$

    with $V_b$ the positions of a sample that are valid on both sides, $\bar s_b$ what the student's head would read of
    them, and the log-variance $v_b$ kept within $\pm$ ``limit``. The loss learns $w$ and $\beta$. At the best $v_b$ the
    value is the mean over samples of 1 plus the logarithm of the error. It can be negative.

    Differs from the paper: the log-variance starts at zero everywhere, where the loss is the MSE, instead of being held
    there for the first epochs; it is one number per sample, where torchdistill has one for every channel of it.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        channels: ``C``.
        limit: largest size of $v_b$; default 5: our choice, errors from 0.007 to 150 are told apart.

    Raises:
        ShapeMismatch: if channels or positions differ, or the channels are not those it was built for.
        RecipeError: if ``limit`` is not positive.

    Example:
        >>> student, teacher = Feature(torch.zeros(2, 4, 3)), Feature(torch.full((2, 4, 3), 2.0))
        >>> PAD(3)(student, teacher)   # as the MSE, at the start
        tensor(4., grad_fn=<MeanBackward0>)
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS
    non_negative: ClassVar[bool] = False
    zero_when_equal: ClassVar[bool] = False

    def __init__(self, channels: int, /, *, limit: float = 5.0) -> None:
        super().__init__()
        if limit <= 0:
            raise RecipeError(f"PAD needs a positive limit of the log-variance. Found {limit}. The default is 5.")
        self.limit = limit
        self.log_variance = nn.Linear(channels, 1)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.zeros_(self.log_variance.bias)

    @classmethod
    def for_link(cls, link: Link, _heads: Heads, /, *, limit: float = 5.0) -> PAD:
        """Build one with the sizes of a link."""
        return cls(link.teacher.channels, limit=limit)

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The mean over the samples."""
        return self.compare_samples(student, teacher).mean()

    def compare_samples(self, student: Feature, teacher: Feature, /) -> Float[Tensor, " B"]:
        """The formula for each sample."""
        head = self.log_variance
        require_channels(self, "student", student, head.in_features)
        valid = both_valid(student.mask, teacher.mask)
        error = (zeroed(student.x, valid) - zeroed(teacher.x, valid)).square().mean(-1)
        uncertain = linear(student._replace(mask=valid).pooled(), head.weight, head.bias).squeeze(-1)
        uncertain = uncertain.clamp(-self.limit, self.limit)
        return torch.exp(-uncertain) * mean_by_sample(error, valid) + uncertain

    def extra_repr(self) -> str:
        """Sizes and options."""
        return f"{self.log_variance.in_features}, limit={self.limit}"
