"""Mean squared error."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import both_valid, masked_mean, zeroed
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss


class MSE(FeatureLoss):
    r"""Predict the teacher's values.

    From "FitNets: Hints for Thin Deep Nets" (Romero et al., ICLR 2015), https://arxiv.org/abs/1412.6550, eq. 3:

    $$ \frac{1}{|V| \, C} \sum_{(b, n) \in V} \sum_c (s_{bnc} - t_{bnc})^2 $$

    over the positions $V$ that are valid on both sides; 0 if there is none. On a standardised target
    (:class:`~limbeck.targets.Standardise`) 1 means that nothing is explained: it is what predicting the mean gives.

    Differs from the paper: a mean over all values instead of half their sum, so that its size does not depend on the
    layer's.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Raises:
        ShapeMismatch: if channels or positions differ.

    Example:
        >>> import torch
        >>> student, teacher = Feature(torch.zeros(2, 4, 3)), Feature(torch.full((2, 4, 3), 2.0))
        >>> MSE()(student, teacher)
        tensor(4.)
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        valid = both_valid(student.mask, teacher.mask)
        error = (zeroed(student.x, valid) - zeroed(teacher.x, valid)).square().mean(-1)
        return masked_mean(error, valid)
