"""Cosine distance mixed with smooth L1."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.pairwise import cosine_distance
from limbeck.errors import RecipeError
from limbeck.losses.positionwise import PositionwiseLoss


class CosineSmoothL1(PositionwiseLoss):
    r"""Point where the teacher points, and be about as long.

    From "UNIC: Universal Classification Models via Multi-teacher Distillation" (Sariyildiz et al., ECCV 2024),
    https://arxiv.org/abs/2408.05088:

    $$ \frac{1}{|V|} \sum_{(b, n) \in V} \Bigl[ \alpha \bigl(1 - \cos(s_{bn}, t_{bn})\bigr)
       + (1 - \alpha) \frac1C \sum_c h_\beta(s_{bnc} - t_{bnc}) \Bigr], \qquad
       h_\beta(d) = \begin{cases} d^2 / 2\beta & |d| < \beta \\ |d| - \beta / 2 & \text{else} \end{cases} $$

    over the positions $V$ that are valid on both sides; 0 if there is none.

    Differs from the paper: class and patch tokens count alike; the paper takes the mean of both kinds.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        cosine: $\alpha$; default ½: official code (AM-RADIO, https://arxiv.org/abs/2312.06709, takes 0.9).
        beta: where the smooth L1 turns from a square to a line; default 1: official code.
        eps: shortest length that a vector is divided by; default: our choice.

    Raises:
        ShapeMismatch: if channels or positions differ.
        RecipeError: if ``cosine`` is no share, or ``beta`` not positive.

    Example:
        >>> import torch
        >>> from limbeck.features import Feature
        >>> student, teacher = Feature(torch.tensor([[[4.0, 0.0]]])), Feature(torch.tensor([[[1.0, 0.0]]]))
        >>> CosineSmoothL1()(student, teacher)   # no angle; smooth L1 of 3 is 2.5, half of it for 2 channels, times ½
        tensor(0.6250)
    """

    def __init__(self, *, cosine: float = 0.5, beta: float = 1.0, eps: float = 1e-6) -> None:
        super().__init__()
        if not 0 <= cosine <= 1 or beta <= 0:
            raise RecipeError(
                f"CosineSmoothL1 needs a share from 0 to 1 for cosine and a positive beta. Found cosine={cosine}, "
                f"beta={beta}."
            )
        self.cosine = cosine
        self.beta = beta
        self.eps = eps

    def distances(self, student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], /) -> Float[Tensor, "B N"]:
        """The formula, at each position."""
        length = F.smooth_l1_loss(student, teacher, reduction="none", beta=self.beta).mean(-1)
        return self.cosine * cosine_distance(student, teacher, eps=self.eps) + (1 - self.cosine) * length

    def extra_repr(self) -> str:
        """Options."""
        return f"cosine={self.cosine}, beta={self.beta}, eps={self.eps}"
