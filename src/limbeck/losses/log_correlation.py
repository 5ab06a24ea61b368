"""The logarithm of how badly channels correlate."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import both_valid
from limbeck._math.moments import channel_correlation, standardised
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class LogCorrelation(FeatureLoss):
    r"""Have channels that correlate with the teacher's, the worst of them first.

    From the official code of "Understanding the Role of the Projector in Knowledge Distillation" (Miles & Mikolajczyk,
    AAAI 2024), https://arxiv.org/abs/2303.11098, for transformers (:class:`LogSum` is the paper's formula):

    $$ \log \Bigl( \sum_c |\rho_c - 1|^\alpha + \epsilon \Bigr), \qquad
       \rho_c = \frac{1}{|V|} \sum_{(b, n) \in V} \hat s_{bnc} \hat t_{bnc} $$

    with $\hat s$, $\hat t$ standardised per channel over the positions $V$ of the batch that are valid on both sides.
    The paper compares what the head reads, behind a linear projector. Negative when good, so no balancer that takes
    logarithms or ratios can weigh it.

    Differs from the code: 1e-5 is added to variances, which are 0 for a dead channel.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        power: $\alpha$; default 4: official code.
        eps: $\epsilon$; default: official code.

    Raises:
        ShapeMismatch: if channels or positions differ, or the batch holds one sample.
        RecipeError: if ``power`` is below 1.

    Example:
        >>> import torch
        >>> teacher = Feature(torch.tensor([[[1.0]], [[-1.0]]]))
        >>> LogCorrelation()(Feature(-teacher.x), teacher)   # log of 2 to the 4th
        tensor(2.7726)
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS
    non_negative: ClassVar[bool] = False
    zero_when_equal: ClassVar[bool] = False
    minimum_batch: ClassVar[int] = 2

    def __init__(self, *, power: float = 4.0, eps: float = 1e-5) -> None:
        super().__init__()
        if power < 1:
            raise RecipeError(f"LogCorrelation needs a power of at least 1. Found {power}. The paper takes 4.")
        self.power = power
        self.eps = eps

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        valid = both_valid(student.mask, teacher.mask)
        s, t = (standardised(each.x, valid, eps=_VARIANCE) for each in (student, teacher))
        correlation = channel_correlation(s, t, valid).diagonal()
        return ((correlation - 1).abs().pow(self.power).sum() + self.eps).log()

    def extra_repr(self) -> str:
        """Options."""
        return f"power={self.power}, eps={self.eps}"


_VARIANCE = 1e-5
