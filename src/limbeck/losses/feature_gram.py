"""Distance of feature Gram matrices."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from limbeck.losses.geometry import Geometry


class FeatureGram(Geometry):
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
        >>> from limbeck.features import Feature
        >>> teacher = Feature(torch.randn(8, 3, 5))
        >>> student = Feature(7 * teacher.x.flip(-1))   # another scale, and channels in another order
        >>> bool(FeatureGram()(student, teacher) < 1e-5)
        True
    """

    def apart(self, student: Float[Tensor, "M Cs"], teacher: Float[Tensor, "M Ct"], /) -> Float[Tensor, ""]:
        """The formula."""
        return (
            (student.T @ student).square().sum()
            + (teacher.T @ teacher).square().sum()
            - 2 * (student.T @ teacher).square().sum()
        )
