"""Relational knowledge distillation by distances."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.gram import distances, flattened
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class RKDDistance(FeatureLoss):
    r"""Match how far the samples of a batch are apart.

    From "Relational Knowledge Distillation" (Park et al., CVPR 2019), https://arxiv.org/abs/1904.05068, eqs. 4 to 6:

    $$ \frac{1}{B^2} \sum_{ij} h_1(\psi^s_{ij} - \psi^t_{ij}), \qquad \psi_{ij} = \frac{d_{ij}}{\mu}, \qquad
       d_{ij} = \lVert a_i - a_j \rVert_2 $$

    with $a_i$ all values of sample $i$ as one vector, $\mu$ the mean of $d$ over $i \neq j$ and $h_1$ the Huber
    function. Nothing needs to agree but the samples. Positions that are not valid are zero, each side by its own mask.
    The paper's weights are 1 for distances and 2 for angles (:class:`RKDAngle`) on a metric, 25 and 50 in comparisons
    on classification.

    Differs from the paper: 0 counts for $i = j$ in the mean, as in the official code.

    Shapes: student ``[B, Ns, Cs]``, teacher ``[B, Nt, Ct]``.

    Raises:
        ShapeMismatch: if the batch holds fewer than 3 samples: a single distance divided by its mean is 1.

    Example:
        >>> import torch
        >>> student = Feature(torch.tensor([[[0.0]], [[1.0]], [[2.0]]]))
        >>> teacher = Feature(torch.tensor([[[0.0]], [[4.0]], [[8.0]]]))
        >>> RKDDistance()(student, teacher)   # the same up to scale
        tensor(0.)
    """

    needs: ClassVar[Match] = Match.NOTHING
    minimum_batch: ClassVar[int] = 3

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        return F.smooth_l1_loss(_relative_distances(student), _relative_distances(teacher))


def _relative_distances(feature: Feature) -> Float[Tensor, "B B"]:
    apart = distances(flattened(feature))
    size = len(apart)
    return apart / (apart.sum() / (size * (size - 1)))
