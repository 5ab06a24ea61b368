"""Cosine distance."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from limbeck._math.pairwise import cosine_distance
from limbeck.losses.positionwise import PositionwiseLoss


class Cosine(PositionwiseLoss):
    r"""Point where the teacher points, however long the vector.

    From "DistilBERT, a distilled version of BERT" (Sanh et al. 2019), https://arxiv.org/abs/1910.01108:

    $$ \frac{1}{|V|} \sum_{(b, n) \in V} \bigl(1 - \cos(s_{bn}, t_{bn})\bigr) $$

    over the positions $V$ that are valid on both sides; 0 if there is none. Computed as half the squared distance of
    the unit vectors, which is the same number and exact near zero. From 0 (same direction) over 1 (unrelated) to 2
    (opposite).

    This is the cosine loss of DistilBERT on the last hidden states, with the weight 1 there beside 5 for soft labels
    and 2 for the language model.

    Differs from the paper: a vector shorter than ``eps`` is divided by ``eps`` instead of by its length, so that the
    gradient at zero is finite; a zero vector against another counts ½.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        eps: shortest length that a vector is divided by; default: our choice.

    Raises:
        ShapeMismatch: if channels or positions differ.

    Example:
        >>> import torch
        >>> from limbeck.features import Feature
        >>> student, teacher = Feature(torch.tensor([[[3.0, 0.0]]])), Feature(torch.tensor([[[0.0, 1.0]]]))
        >>> Cosine()(student, teacher)
        tensor(1.)
    """

    def __init__(self, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def distances(self, student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], /) -> Float[Tensor, "B N"]:
        """The formula, at each position."""
        return cosine_distance(student, teacher, eps=self.eps)

    def extra_repr(self) -> str:
        """Options."""
        return f"eps={self.eps}"
