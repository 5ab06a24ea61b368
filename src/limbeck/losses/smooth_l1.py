"""Smooth L1."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import RecipeError
from limbeck.losses.positionwise import PositionwiseLoss


class SmoothL1(PositionwiseLoss):
    r"""Predict the teacher's values, without letting a few large errors rule.

    From "VkD: Improving Knowledge Distillation using Orthogonal Projections" (Miles, Elezi & Deng, CVPR 2024),
    https://arxiv.org/abs/2403.06213, where the projector is orthogonal and the target layer-normed
    (:class:`~limbeck.targets.LayerNorm`):

    $$ \frac{1}{|V| \, C} \sum_{(b, n) \in V} \sum_c h_\beta(s_{bnc} - t_{bnc}), \qquad
       h_\beta(d) = \begin{cases} d^2 / 2\beta & |d| < \beta \\ |d| - \beta / 2 & \text{else} \end{cases} $$

    over the positions $V$ that are valid on both sides; 0 if there is none.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        beta: where it turns from a square to a line; default 1: official code.

    Raises:
        ShapeMismatch: if channels or positions differ.
        RecipeError: if ``beta`` is not positive.

    Example:
        >>> import torch
        >>> from limbeck.features import Feature
        >>> student, teacher = Feature(torch.tensor([[[3.0, 0.5]]])), Feature(torch.zeros(1, 1, 2))
        >>> SmoothL1()(student, teacher)   # 2.5 and 0.125
        tensor(1.3125)
    """

    def __init__(self, *, beta: float = 1.0) -> None:
        super().__init__()
        if beta <= 0:
            raise RecipeError(f"SmoothL1 needs a positive beta. Found {beta}. The official code takes 1.")
        self.beta = beta

    def distances(self, student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], /) -> Float[Tensor, "B N"]:
        """The formula, at each position."""
        return F.smooth_l1_loss(student, teacher, reduction="none", beta=self.beta).mean(-1)

    def extra_repr(self) -> str:
        """Options."""
        return f"beta={self.beta}"
