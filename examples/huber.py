"""A loss of your own: it knows two features, and what it needs of them. See docs/how-to/own-loss.md."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from limbeck.losses.positionwise import PositionwiseLoss


class Huber(PositionwiseLoss):
    r"""Predict the teacher's values, without letting the far ones decide.

    Our choice:

    $$ \text{mean over valid positions and channels of } h_\delta(s - t) $$

    Args:
        delta: where the square turns into a line; default 1.0, torch's.

    Example:
        >>> import torch
        >>> from limbeck import Feature
        >>> Huber()(Feature(torch.zeros(2, 4, 3)), Feature(torch.full((2, 4, 3), 3.0)))
        tensor(2.5000)
    """

    def __init__(self, *, delta: float = 1.0) -> None:
        super().__init__()
        self.delta = delta

    def distances(self, student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], /) -> Float[Tensor, "B N"]:
        """The formula at each position; shapes, padding, precision, the detached teacher are the family's business."""
        return F.huber_loss(student, teacher, delta=self.delta, reduction="none").mean(-1)

    def extra_repr(self) -> str:
        """The options, so that the repr rebuilds it."""
        return f"delta={self.delta}"
