"""Cosine distance."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import both_valid, masked_mean, zeroed
from limbeck._math.pairwise import cosine_distance
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class Cosine(FeatureLoss):
    r"""Point where the teacher points, however long the vector.

    From "DistilBERT, a distilled version of BERT" (Sanh et al. 2019), https://arxiv.org/abs/1910.01108:

    $$ \frac{1}{|V|} \sum_{(b, n) \in V} \bigl(1 - \cos(s_{bn}, t_{bn})\bigr) $$

    over the positions $V$ that are valid on both sides; 0 if there is none. Computed as half the squared distance of
    the unit vectors, which is the same number and exact near zero. From 0 (same direction) over 1 (unrelated) to 2
    (opposite).

    Differs from the paper: a vector shorter than ``eps`` is divided by ``eps`` instead of by its length, so that the
    gradient at zero is finite; a zero vector against another counts ½.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        eps: shortest length that a vector is divided by; default: our choice.

    Raises:
        ShapeMismatch: if channels or positions differ.

    Example:
        >>> import torch
        >>> student, teacher = Feature(torch.tensor([[[3.0, 0.0]]])), Feature(torch.tensor([[[0.0, 1.0]]]))
        >>> Cosine()(student, teacher)
        tensor(1.)
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS

    def __init__(self, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        valid = both_valid(student.mask, teacher.mask)
        distance = cosine_distance(zeroed(student.x, valid), zeroed(teacher.x, valid), eps=self.eps)
        return masked_mean(distance, valid)

    def extra_repr(self) -> str:
        """Options."""
        return f"eps={self.eps}"
