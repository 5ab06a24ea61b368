"""Correlation congruence."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.gram import flattened
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class CorrelationCongruence(FeatureLoss):
    r"""Match how near the samples of a batch are to each other, by a Gaussian kernel.

    From "Correlation Congruence for Knowledge Distillation" (Peng et al., ICCV 2019), https://arxiv.org/abs/1904.01802:

    $$ \frac{1}{B^2} \lVert K_s - K_t \rVert_F^2, \qquad
       K_{ij} = e^{-2\gamma} \sum_{p=0}^{P} \frac{(2\gamma)^p}{p!} \, \langle \hat a_i, \hat a_j \rangle^p $$

    with $\hat a_i$ all values of sample $i$ as one vector of length 1: the Gaussian kernel by the first terms of its
    Taylor series. Positions that are not valid are zero, each side by its own mask.

    Differs from the paper: nothing needs to agree but the samples, so no layer is learned that brings both sides to
    one width; a batch needs no equal numbers of each class. torchdistill leaves the square of the norm out. What much
    published code calls CC is another formula (the absolute differences of two learned embeddings, each multiplied with
    that of the next sample).

    Shapes: student ``[B, Ns, Cs]``, teacher ``[B, Nt, Ct]``.

    Args:
        gamma: $\gamma$, the sharpness of the kernel; default 0.4: paper.
        order: $P$; default 2: paper.

    Raises:
        ShapeMismatch: if the batch holds one sample.
        RecipeError: if ``gamma`` or ``order`` is not positive.

    Example:
        >>> student, teacher = Feature(torch.eye(2).unsqueeze(1)), Feature(torch.ones(2, 1, 3))
        >>> CorrelationCongruence()(student, teacher)   # half of the pairs: e^-0.8 (0.8 + 0.32) apart
        tensor(0.1266)
    """

    needs: ClassVar[Match] = Match.NOTHING
    minimum_batch: ClassVar[int] = 2

    def __init__(self, *, gamma: float = 0.4, order: int = 2) -> None:
        super().__init__()
        if gamma <= 0 or order < 1:
            raise RecipeError(
                f"CorrelationCongruence needs a positive gamma and an order of at least 1. Found gamma={gamma}, "
                f"order={order}. The paper takes 0.4 and 2."
            )
        self.gamma = gamma
        self.order = order

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        return (self._kernel(student) - self._kernel(teacher)).square().mean()

    def _kernel(self, feature: Feature) -> Float[Tensor, "B B"]:
        unit = F.normalize(flattened(feature), dim=1, eps=_FLOOR)
        gram = unit @ unit.T
        terms = [(2 * self.gamma) ** p / math.factorial(p) * gram**p for p in range(self.order + 1)]
        return math.exp(-2 * self.gamma) * torch.stack(terms).sum(0)

    def extra_repr(self) -> str:
        """Options."""
        return f"gamma={self.gamma}, order={self.order}"


_FLOOR = 1e-6
