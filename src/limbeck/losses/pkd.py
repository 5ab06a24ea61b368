"""Patient knowledge distillation."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.samplewise import SamplewiseLoss


class PKD(SamplewiseLoss):
    r"""Point where the teacher points in what the head reads: the class token, or the mean.

    From "Patient Knowledge Distillation for BERT Model Compression" (Sun et al., EMNLP 2019),
    https://arxiv.org/abs/1908.09355:

    $$ \frac{1}{B \, C} \sum_b \lVert \hat s_b - \hat t_b \rVert_2^2, \qquad \hat s = \frac{s}{\lVert s \rVert_2} $$

    with $s_b$, $t_b$ the summary token of each side, or the mean over valid positions where the head reads that. The
    paper links every second layer of the teacher (mapping ``SameDepth``); its weights are 10 to 1000.

    Differs from the paper, as the official code does: a mean over samples and channels instead of a sum.

    Shapes: student ``[B, Ns, C]``, teacher ``[B, Nt, C]``.

    Args:
        eps: shortest length that a vector is divided by; default: our choice.

    Raises:
        ShapeMismatch: if channels differ.

    Example:
        >>> import torch
        >>> student, teacher = Feature(torch.tensor([[[3.0, 0.0]]])), Feature(torch.tensor([[[0.0, 1.0]]]))
        >>> PKD()(student, teacher)
        tensor(1.)
    """

    needs: ClassVar[Match] = Match.CHANNELS

    def __init__(self, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def rows(self, student: Feature, teacher: Feature, /) -> tuple[Float[Tensor, "B 1"], None]:
        """The formula, for each sample."""
        s, t = (F.normalize(each.pooled(), dim=-1, eps=self.eps) for each in (student, teacher))
        return (s - t).square().mean(1, keepdim=True), None

    def extra_repr(self) -> str:
        """Options."""
        return f"eps={self.eps}"
