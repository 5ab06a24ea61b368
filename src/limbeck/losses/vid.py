"""Variational information distillation."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.context import Heads
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link
from limbeck.losses.positionwise import PositionwiseLoss
from limbeck.losses.sizes import require_channels


class VID(PositionwiseLoss):
    r"""Make the teacher's values likely under a normal distribution around the student's, one variance per channel.

    From "Variational Information Distillation for Knowledge Transfer" (Ahn et al., CVPR 2019),
    https://arxiv.org/abs/1904.05835:

    $$ \frac{1}{|V| \, C} \sum_{(b, n) \in V} \sum_c \frac12 \left[ \frac{(t_{bnc} - s_{bnc})^2}{\sigma_c^2}
       + \log \sigma_c^2 \right], \qquad \sigma_c^2 = \log(1 + e^{\alpha_c}) + \epsilon $$

    over the positions $V$ that are valid on both sides; 0 if there is none. $s$ is the student's feature behind its
    projector, the paper's $\mu$; the loss learns $\alpha$. At the best $\alpha$ the variance of a channel is its mean
    squared error, and the value half the mean logarithm of these: it does not depend on the teacher's scale but for a
    constant. It can be negative.

    Differs from the paper: a mean over all values instead of a sum over them, as the official code has it; $\mu$ is
    whatever projector stands in front, where the paper takes three 1 x 1 convolutions.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        channels: ``C``.
        variance: $\sigma^2$ of every channel at the start; default 5: official code.
        eps: $\epsilon$, the smallest variance; default: official code.

    Raises:
        ShapeMismatch: if channels or positions differ, or the channels are not those it was built for.
        RecipeError: if ``eps`` is not positive, or ``variance`` not above it.

    Example:
        >>> loss = VID(2, variance=1.0)
        >>> student, teacher = Feature(torch.zeros(1, 1, 2)), Feature(torch.full((1, 1, 2), 2.0))
        >>> loss(student, teacher)   # half of 2 squared over 1, and the logarithm of 1
        tensor(2., grad_fn=<MeanBackward0>)
    """

    non_negative: ClassVar[bool] = False
    zero_when_equal: ClassVar[bool] = False

    def __init__(self, channels: int, /, *, variance: float = 5.0, eps: float = 1e-5) -> None:
        super().__init__()
        if not 0 < eps < variance:
            raise RecipeError(
                f"VID needs a positive eps, and a variance above it. Found variance={variance}, eps={eps}. The "
                "official code takes 5 and 1e-5."
            )
        self.channels = channels
        self.variance = variance
        self.eps = eps
        self.alpha = nn.Parameter(torch.full((channels,), math.log(math.expm1(variance - eps))))

    @classmethod
    def for_link(cls, link: Link, _heads: Heads, /, *, variance: float = 5.0, eps: float = 1e-5) -> VID:
        """Build one with the sizes of a link."""
        return cls(link.teacher.channels, variance=variance, eps=eps)

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The mean over all valid positions of the batch."""
        require_channels(self, "teacher", teacher, self.channels)
        return super().compare(student, teacher)

    def distances(self, student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], /) -> Float[Tensor, "B N"]:
        """The formula, at each position."""
        variance = F.softplus(self.alpha.to(student.dtype)) + self.eps
        return ((teacher - student).square() / variance + variance.log()).mean(-1) / 2

    def extra_repr(self) -> str:
        """Sizes and options."""
        return f"{self.channels}, variance={self.variance}, eps={self.eps}"
