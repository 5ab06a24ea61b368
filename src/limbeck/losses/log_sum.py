"""The logarithm of the summed distance."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import both_valid
from limbeck._math.moments import standardised
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class LogSum(FeatureLoss):
    r"""Predict the teacher's standardised values, the worst errors first, whatever the size of all.

    From "Understanding the Role of the Projector in Knowledge Distillation" (Miles & Mikolajczyk, AAAI 2024),
    https://arxiv.org/abs/2303.11098:

    $$ \log \Bigl( \sum_{(b, n) \in V} \sum_c |\hat s_{bnc} - \hat t_{bnc}|^\alpha + \epsilon \Bigr) $$

    with $\hat s$, $\hat t$ standardised per channel over the positions $V$ of the batch that are valid on both sides.
    The paper compares what the head reads, behind a linear projector. Its gradient does not depend on the size of the
    error. Can be negative, so no balancer that takes logarithms or ratios can weigh it.

    Differs from the paper: $\epsilon$, without which two equal features give minus infinity.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        power: $\alpha$; default 4: paper.
        eps: $\epsilon$; default: our choice.

    Raises:
        ShapeMismatch: if channels or positions differ, or the batch holds one sample.
        RecipeError: if ``power`` is below 1.

    Example:
        >>> import torch
        >>> teacher = Feature(torch.tensor([[[1.0]], [[-1.0]]]))
        >>> LogSum()(Feature(-teacher.x), teacher)   # log of twice 2 to the 4th
        tensor(3.4657)
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS
    non_negative: ClassVar[bool] = False
    zero_when_equal: ClassVar[bool] = False
    minimum_batch: ClassVar[int] = 2

    def __init__(self, *, power: float = 4.0, eps: float = 1e-5) -> None:
        super().__init__()
        if power < 1:
            raise RecipeError(f"LogSum needs a power of at least 1. Found {power}. The paper takes 4.")
        self.power = power
        self.eps = eps

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        valid = both_valid(student.mask, teacher.mask)
        s, t = (standardised(each.x, valid, eps=_VARIANCE) for each in (student, teacher))
        return ((s - t).abs().pow(self.power).sum() + self.eps).log()

    def extra_repr(self) -> str:
        """Options."""
        return f"power={self.power}, eps={self.eps}"


_VARIANCE = 1e-5
