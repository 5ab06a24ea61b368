"""A loss of your own: it knows two features, and what it needs of them. See docs/how-to/own-loss.md."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limbeck import Feature, Match
from limbeck.losses import FeatureLoss


class Huber(FeatureLoss):
    r"""Predict the teacher's values, without letting the far ones decide.

    Our choice:

    $$ \text{mean over valid positions and channels of } h_\delta(s - t) $$

    Args:
        delta: where the square turns into a line; default 1.0, torch's.

    Example:
        >>> Huber()(Feature(torch.zeros(2, 4, 3)), Feature(torch.full((2, 4, 3), 3.0)))
        tensor(2.5000)
    """

    needs = Match.CHANNELS | Match.POSITIONS

    def __init__(self, *, delta: float = 1.0) -> None:
        super().__init__()
        self.delta = delta

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula; shapes, precision and the detached teacher are the family's business."""
        error = F.huber_loss(student.x, teacher.x, delta=self.delta, reduction="none").mean(-1)
        valid = torch.ones_like(error, dtype=torch.bool)
        for mask in (student.mask, teacher.mask):
            valid = valid if mask is None else valid & mask
        return error.where(valid, 0.0).sum() / valid.sum().clamp_min(1)

    def extra_repr(self) -> str:
        """The options, so that the repr rebuilds it."""
        return f"delta={self.delta}"
