"""Distance of feature Gram matrices."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.gram import unit_frobenius
from limbeck._math.masking import both_valid
from limbeck._math.moments import centred_positions
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class FeatureGram(FeatureLoss):
    r"""Match all inner products of the positions of a batch.

    From "Knowledge Distillation Through Geometry-Aware Representational Alignment" (Bhattarai et al. 2025),
    https://arxiv.org/abs/2509.25253:

    $$ \lVert X X^\top - Y Y^\top \rVert_F^2
       = \lVert X^\top X \rVert_F^2 + \lVert Y^\top Y \rVert_F^2 - 2 \lVert X^\top Y \rVert_F^2 $$

    where the rows of $X$ and $Y$ are the positions of the batch that are valid on both sides, centred, and divided by
    the length of the whole matrix. Computed in the second form, whose matrices are as large as the channels; no
    projector, whatever the widths. Two sides that share no direction differ by the sum of their first two terms, at
    most 2.

    Shapes: student ``[B, N, Cs]``, teacher ``[B, N, Ct]``.

    Args:
        eps: shortest length that a matrix is divided by; default: our choice.

    Raises:
        ShapeMismatch: if positions differ, or the batch holds one sample.

    Example:
        >>> import torch
        >>> teacher = Feature(torch.randn(8, 3, 5))
        >>> student = Feature(7 * teacher.x.flip(-1))   # another scale, and channels in another order
        >>> bool(FeatureGram()(student, teacher) < 1e-5)
        True
    """

    needs: ClassVar[Match] = Match.POSITIONS
    minimum_batch: ClassVar[int] = 2

    def __init__(self, *, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        valid = both_valid(student.mask, teacher.mask)
        x, y = (
            unit_frobenius(centred_positions(each.x, valid).flatten(0, 1), eps=self.eps) for each in (student, teacher)
        )
        return (x.T @ x).square().sum() + (y.T @ y).square().sum() - 2 * (x.T @ y).square().sum()

    def extra_repr(self) -> str:
        """Options."""
        return f"eps={self.eps}"
