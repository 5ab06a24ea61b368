"""Redundancy suppression."""

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


class RedundancySuppression(FeatureLoss):
    r"""Have every channel correlate with its own of the teacher, and with none of the others.

    From "Cross-Architecture Distillation Made Simple with Redundancy Suppression" (Zhang et al., ICCV 2025),
    https://arxiv.org/abs/2507.21844:

    $$ \frac1C \Bigl[ \sum_c (\rho_{cc} - 1)^2 + \kappa \sum_{c \neq d} \rho_{cd}^2 \Bigr], \qquad
       \rho_{cd} = \frac{1}{|V|} \sum_{(b, n) \in V} \hat t_{bnc} \hat s_{bnd} $$

    with $\hat s$, $\hat t$ standardised per channel over the positions $V$ of the batch that are valid on both sides.
    The paper compares what the head reads, behind a projector of several layers. It costs $C^2$ values.

    Differs from the code: 1e-5 is added to variances instead of 1e-6 to deviations.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        kappa: $\kappa$; default 0.01: official code.

    Raises:
        ShapeMismatch: if channels or positions differ, or the batch holds one sample.
        RecipeError: if ``kappa`` is negative.

    Example:
        >>> import torch
        >>> teacher = Feature(torch.tensor([[[1.0, 1.0]], [[-1.0, -1.0]]]))
        >>> RedundancySuppression()(teacher, teacher)   # 2 foreign correlations of 1 for 2 channels
        tensor(0.0100)
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS
    zero_when_equal: ClassVar[bool] = False
    minimum_batch: ClassVar[int] = 2

    def __init__(self, *, kappa: float = 0.01) -> None:
        super().__init__()
        if kappa < 0:
            raise RecipeError(f"RedundancySuppression needs a kappa of at least 0. Found {kappa}. The code takes 0.01.")
        self.kappa = kappa

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        valid = both_valid(student.mask, teacher.mask)
        s, t = (standardised(each.x, valid, eps=_VARIANCE) for each in (student, teacher))
        correlation = channel_correlation(s, t, valid)
        own = correlation.diagonal()
        others = correlation.square().sum() - own.square().sum()
        return ((own - 1).square().sum() + self.kappa * others) / len(own)

    def extra_repr(self) -> str:
        """Options."""
        return f"kappa={self.kappa}"


_VARIANCE = 1e-5
