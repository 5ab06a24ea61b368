"""Mean squared error."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import masked_mean, valid_pair
from limbeck.features import Feature
from limbeck.losses.positionwise import PositionwiseLoss


class MSE(PositionwiseLoss):
    r"""Predict the teacher's values.

    From "FitNets: Hints for Thin Deep Nets" (Romero et al., ICLR 2015), https://arxiv.org/abs/1412.6550, eq. 3:

    $$ \frac{1}{|V| \, C} \sum_{(b, n) \in V} \sum_c (s_{bnc} - t_{bnc})^2 $$

    over the positions $V$ that are valid on both sides; 0 if there is none: the hint of FitNets, and the loss on hidden
    states of many later methods (TinyBERT, SimKD, Proteus). On a standardised target
    (:class:`~limbeck.targets.Standardise`) 1 means that nothing is explained: it is what predicting the mean gives.

    Differs from the paper: a mean over all values instead of half their sum, so that its size does not depend on the
    layer's.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Raises:
        ShapeMismatch: if channels or positions differ.

    Example:
        >>> import torch
        >>> from limbeck.features import Feature
        >>> student, teacher = Feature(torch.zeros(2, 4, 3)), Feature(torch.full((2, 4, 3), 2.0))
        >>> MSE()(student, teacher)
        tensor(4.)
    """

    def distances(self, student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], /) -> Float[Tensor, "B N"]:
        """The formula, at each position."""
        return F.mse_loss(student, teacher, reduction="none").mean(-1)

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The mean, in one pass over the values where all positions count."""
        mine, theirs, valid = valid_pair(student, teacher)
        return F.mse_loss(mine, theirs) if valid is None else masked_mean(self.distances(mine, theirs), valid)
