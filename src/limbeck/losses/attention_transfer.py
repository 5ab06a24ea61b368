"""Attention transfer."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import both_valid, zeroed
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.samplewise import SamplewiseLoss


class AttentionTransfer(SamplewiseLoss):
    r"""Be active where the teacher is, in whatever channels.

    From "Paying More Attention to Attention" (Zagoruyko & Komodakis, ICLR 2017), https://arxiv.org/abs/1612.03928:

    $$ \frac{1}{|V|} \sum_{(b, n) \in V} \bigl(q(s)_{bn} - q(t)_{bn}\bigr)^2, \qquad
       q(f)_b = \frac{a_b}{\lVert a_b \rVert_2}, \qquad a_{bn} = \frac1C \sum_c |f_{bnc}|^p $$

    over the positions $V$ that are valid on both sides; 0 if there is none. Prefix tokens do not take part.

    Differs from the paper, as the official code does: the mean over positions instead of the length of the
    difference. The value is of the order of $1/N$; published weights are about 1000.

    Shapes: student ``[B, N, Cs]``, teacher ``[B, N, Ct]``, on one grid.

    Args:
        power: $p$; default 2: official code.

    Raises:
        ShapeMismatch: if the grids differ, or have a single position: every map would be the same.
        RecipeError: if ``power`` is below 1, where the gradient at zero is not finite.

    Example:
        >>> import torch
        >>> student = Feature(torch.tensor([[[1.0], [0.0]]]), grid=(2,))
        >>> teacher = Feature(torch.tensor([[[0.0, 0.0], [5.0, 5.0]]]), grid=(2,))
        >>> AttentionTransfer()(student, teacher)
        tensor(1.)
    """

    needs: ClassVar[Match] = Match.GRID
    minimum_positions: ClassVar[int] = 2

    def __init__(self, *, power: float = 2.0) -> None:
        super().__init__()
        if power < 1:
            raise RecipeError(f"AttentionTransfer needs a power of at least 1. Found {power}. The paper takes 2.")
        self.power = power

    def rows(self, student: Feature, teacher: Feature, /) -> tuple[Float[Tensor, "B N"], Bool[Tensor, "B N"] | None]:
        """The formula, at each position."""
        student, teacher = student.body(), teacher.body()
        valid = both_valid(student.mask, teacher.mask)
        difference = self._map(student.x, valid) - self._map(teacher.x, valid)
        return difference.square(), valid

    def _map(self, x: Float[Tensor, "B N C"], valid: Bool[Tensor, "B N"] | None) -> Float[Tensor, "B N"]:
        return F.normalize(zeroed(x, valid).abs().pow(self.power).mean(-1), dim=1)

    def extra_repr(self) -> str:
        """Options."""
        return f"power={self.power}"
