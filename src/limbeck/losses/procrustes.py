"""Procrustes distance."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.losses.geometry import Geometry


class Procrustes(Geometry):
    r"""Match the teacher's positions after the best rotation, which is found anew at every step.

    From "Knowledge Distillation Through Geometry-Aware Representational Alignment" (Bhattarai et
    al. 2025), https://arxiv.org/abs/2509.25253:

    $$ \min_{Q^\top Q = I} \lVert X Q - Y \rVert_F^2
       = \lVert X \rVert_F^2 + \lVert Y \rVert_F^2 - 2 \lVert X^\top Y \rVert_* $$

    where the rows of $X$ and $Y$ are the positions of the batch that are valid on both sides, centred, and divided by
    the length of the whole matrix. From 0 (a rotated and scaled copy) to 2 (nothing in common); no projector, whatever
    the widths. It costs a singular value decomposition of ``[Cs, Ct]``.

    Shapes: student ``[B, N, Cs]``, teacher ``[B, N, Ct]``.

    Args:
        eps: shortest length that a matrix is divided by; default: our choice.

    Raises:
        ShapeMismatch: if positions differ, or the batch holds one sample.

    Example:
        >>> from limbeck.features import Feature
        >>> teacher = Feature(torch.randn(8, 3, 5))
        >>> student = Feature(7 * teacher.x.flip(-1))   # another scale, and channels in another order
        >>> bool(Procrustes()(student, teacher) < 1e-5)
        True
    """

    def apart(self, student: Float[Tensor, "M Cs"], teacher: Float[Tensor, "M Ct"], /) -> Float[Tensor, ""]:
        """The formula."""
        common = torch.linalg.svdvals(student.T @ teacher).sum()
        return student.square().sum() + teacher.square().sum() - 2 * common
