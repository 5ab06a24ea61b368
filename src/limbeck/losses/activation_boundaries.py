"""Activation boundaries."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import both_valid, zeroed
from limbeck._math.reduction import sum_by_sample
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class ActivationBoundaries(FeatureLoss):
    r"""Have every neuron on the side of zero on which the teacher's is, by a margin; how far beyond is free.

    From "Knowledge Transfer via Distillation of Activation Boundaries Formed by Hidden Neurons" (Heo et al.,
    AAAI 2019), https://arxiv.org/abs/1811.03233:

    $$ \frac1B \sum_{(b, n) \in V} \sum_c \begin{cases} \max(0, \, m - s_{bnc})^2 & t_{bnc} > 0 \\
       \max(0, \, m + s_{bnc})^2 & \text{else} \end{cases} $$

    over the positions $V$ that are valid on both sides. Both features are taken *before* the ReLU; a teacher's feature
    behind one is never below zero, where a zero stands for it. The sum depends on the layer's size: the official code
    multiplies it with 3/1000, and with another ½ for each layer below the last. With ``mean`` it is divided by
    positions and channels.

    Differs from the paper: a term beside the task's loss, where the paper trains with it first and then without.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        margin: $m$; default 1: paper.
        mean: mean over all values instead of the sum over those of a sample; default: paper.

    Raises:
        ShapeMismatch: if channels or positions differ.
        RecipeError: if ``margin`` is not positive.

    Example:
        >>> import torch
        >>> student = Feature(torch.tensor([[[0.5, 2.0, 2.0]]]))
        >>> teacher = Feature(torch.tensor([[[9.0, 9.0, -9.0]]]))
        >>> ActivationBoundaries()(student, teacher)   # ½ short of the margin, beyond it, and 3 on the wrong side
        tensor(9.2500)
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS
    needs_raw_target: ClassVar[bool] = True
    zero_when_equal: ClassVar[bool] = False

    def __init__(self, *, margin: float = 1.0, mean: bool = False) -> None:
        super().__init__()
        if margin <= 0:
            raise RecipeError(f"ActivationBoundaries needs a positive margin. Found {margin}. The paper takes 1.")
        self.margin = margin
        self.mean = mean

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        valid = both_valid(student.mask, teacher.mask)
        active = zeroed(teacher.x, valid) > 0
        s = zeroed(student.x, valid)
        short = F.relu(self.margin - s.where(active, -s))
        return sum_by_sample(short.square(), valid, mean=self.mean)

    def extra_repr(self) -> str:
        """Options."""
        return f"margin={self.margin}, mean={self.mean}"
