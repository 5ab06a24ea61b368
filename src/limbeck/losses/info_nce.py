"""Contrast within a batch."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class InfoNCE(FeatureLoss):
    r"""Be nearer to the teacher's view of the same sample than to its views of all others, and the other way round.

    From "Representation Learning with Contrastive Predictive Coding" (van den Oord et al. 2018),
    https://arxiv.org/abs/1807.03748, in the symmetric form of "Learning Transferable Visual Models From Natural
    Language Supervision" (Radford et al., ICML 2021), https://arxiv.org/abs/2103.00020:

    $$ -\frac{1}{2B} \sum_i \Bigl[ \log \frac{e^{z_{ii}}}{\sum_j e^{z_{ij}}}
       + \log \frac{e^{z_{ii}}}{\sum_j e^{z_{ji}}} \Bigr], \qquad z_{ij} = \hat s_i \cdot \hat t_j / \tau $$

    with $\hat s_i$, $\hat t_i$ what the head reads of sample $i$, of length 1. Contrastive representation distillation
    (:class:`CRD`) has the same aim with thousands of remembered samples, and needs their keys; here batches must be
    large.

    Differs from the paper: a fixed temperature instead of a learned one, and the teacher's side is not trained.

    Shapes: student ``[B, Ns, C]``, teacher ``[B, Nt, C]``.

    Args:
        temperature: $\tau$; default 0.07: paper, where training begins.
        eps: shortest length that a vector is divided by; default: our choice.

    Raises:
        ShapeMismatch: if channels differ, or the batch holds one sample.
        RecipeError: if ``temperature`` is not positive.

    Example:
        >>> feature = Feature(torch.eye(2).unsqueeze(1))
        >>> InfoNCE(temperature=1.0)(feature, feature)   # -log(e / (e + 1))
        tensor(0.3133)
    """

    needs: ClassVar[Match] = Match.CHANNELS
    zero_when_equal: ClassVar[bool] = False
    minimum_batch: ClassVar[int] = 2

    def __init__(self, *, temperature: float = 0.07, eps: float = 1e-6) -> None:
        super().__init__()
        if temperature <= 0:
            raise RecipeError(f"InfoNCE needs a positive temperature. Found {temperature}. The paper takes 0.07.")
        self.temperature = temperature
        self.eps = eps

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        s, t = (F.normalize(each.pooled(), dim=-1, eps=self.eps) for each in (student, teacher))
        scores = s @ t.T / self.temperature
        own = torch.arange(len(scores), device=scores.device)
        return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2

    def extra_repr(self) -> str:
        """Options."""
        return f"temperature={self.temperature}, eps={self.eps}"
