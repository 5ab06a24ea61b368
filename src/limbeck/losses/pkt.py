"""Probabilistic knowledge transfer."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck._math.gram import flattened
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class PKT(FeatureLoss):
    r"""Match with what probability one sample takes another for its neighbour.

    From "Learning Deep Representations with Probabilistic Knowledge Transfer" (Passalis & Tefas, ECCV 2018),
    https://arxiv.org/abs/1803.10837, with the cosine kernel:

    $$ \frac{1}{B^2} \sum_{ij} p^t_{ij} \log \frac{p^t_{ij} + \epsilon}{p^s_{ij} + \epsilon}, \qquad
       p_{ij} = \frac{k_{ij}}{\sum_j k_{ij}}, \qquad k_{ij} = \frac{\cos(a_i, a_j) + 1}{2} $$

    with $a_i$ all values of sample $i$ as one vector. Nothing needs to agree but the samples. Positions that are not
    valid are zero, each side by its own mask. The paper reads the input of the head; for the same of a map, let both
    sides pass through :class:`~limbeck.targets.PoolVector` first (``both`` in a recipe).

    The mean over all pairs is that of the official code. It makes the value small: published weights are about 30,000,
    which is 470 on the mean over samples at 64 of them.

    Shapes: student ``[B, Ns, Cs]``, teacher ``[B, Nt, Ct]``.

    Args:
        eps: $\epsilon$, and the shortest length that a vector is divided by; default: official code.

    Raises:
        ShapeMismatch: if the batch holds one sample.

    Example:
        >>> student, teacher = Feature(torch.eye(2).unsqueeze(1)), Feature(torch.ones(2, 1, 3))
        >>> PKT()(student, teacher)   # 2/3 and 1/3 where the teacher has 1/2 twice: half of log 3/4 + log 3/2, twice
        tensor(0.0294)
    """

    needs: ClassVar[Match] = Match.NOTHING
    minimum_batch: ClassVar[int] = 2

    def __init__(self, *, eps: float = 1e-7) -> None:
        super().__init__()
        self.eps = eps

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        s, t = self._probabilities(student), self._probabilities(teacher)
        return (t * ((t + self.eps).log() - (s + self.eps).log())).mean()

    def _probabilities(self, feature: Feature) -> Float[Tensor, "B B"]:
        x = flattened(feature)
        unit = x / (torch.linalg.vector_norm(x, dim=1, keepdim=True) + self.eps)
        kernel = ((unit @ unit.T + 1) / 2).clamp_min(0)
        return kernel / kernel.sum(1, keepdim=True)

    def extra_repr(self) -> str:
        """Options."""
        return f"eps={self.eps}"
