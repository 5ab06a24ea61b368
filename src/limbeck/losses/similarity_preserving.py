"""Similarity-preserving distillation."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.gram import flattened, unit_gram
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class SimilarityPreserving(FeatureLoss):
    r"""Match which samples of a batch resemble each other.

    From "Similarity-Preserving Knowledge Distillation" (Tung & Mori, ICCV 2019), https://arxiv.org/abs/1907.09682:

    $$ \frac{1}{B^2} \lVert G_s - G_t \rVert_F^2, \qquad G = \text{rows of } A A^\top \text{ scaled to length } 1 $$

    with $A$ the ``[B, N C]`` matrix of all values of each sample. Nothing needs to agree but the samples. Positions
    that are not valid are zero in $A$, each side by its own mask. The value depends on the size of the batch: the
    paper's weight is 3000 at 64 samples. torchdistill scales rows to absolute sum 1 instead. Behind
    a ReLU all samples resemble each other; to compare what tells them apart, let both sides pass through
    :class:`~limbeck.targets.Centre` first (``both`` in a recipe).

    Shapes: student ``[B, Ns, Cs]``, teacher ``[B, Nt, Ct]``.

    Raises:
        ShapeMismatch: if the batch holds one sample, which resembles nothing but itself.

    Example:
        >>> import torch
        >>> loss = SimilarityPreserving()
        >>> student, teacher = Feature(torch.ones(2, 4, 3)), Feature(torch.ones(2, 9, 8))
        >>> bool(loss(student, teacher) < 1e-6)   # every sample resembles every other, in both
        True
    """

    needs: ClassVar[Match] = Match.NOTHING
    minimum_batch: ClassVar[int] = 2

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        return (unit_gram(flattened(student)) - unit_gram(flattened(teacher))).square().mean()
