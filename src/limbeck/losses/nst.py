"""Neuron selectivity transfer."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import valid_pair
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.samplewise import SamplewiseLoss


class NST(SamplewiseLoss):
    r"""Have neurons that select the same regions, in whatever number and order.

    From "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer" (Huang & Wang 2017),
    https://arxiv.org/abs/1707.01219, with the polynomial kernel of degree 2: the squared maximum mean discrepancy
    of the two sets of channel maps,

    $$ \frac1B \sum_b \Bigl[ \frac{1}{C_t^2} \sum_{cd} \langle \hat t_c, \hat t_d \rangle^2
       + \frac{1}{C_s^2} \sum_{cd} \langle \hat s_c, \hat s_d \rangle^2
       - \frac{2}{C_s C_t} \sum_{cd} \langle \hat s_c, \hat t_d \rangle^2 \Bigr] $$

    where $\hat s_c \in \mathbb{R}^N$ is channel $c$ of the student over all positions, with length 1. Positions that
    are not valid on both sides count on neither, prefix tokens do not take part, and a sample without a valid position
    does not count. The published weight is 50.

    Shapes: student ``[B, N, Cs]``, teacher ``[B, N, Ct]``, on one grid.

    Raises:
        ShapeMismatch: if the grids differ, or have a single position: every map would be the same.

    Example:
        >>> import torch
        >>> student = Feature(torch.tensor([[[1.0], [0.0]]]), grid=(2,))
        >>> teacher = Feature(torch.tensor([[[0.0, 0.0], [5.0, 2.0]]]), grid=(2,))
        >>> NST()(student, teacher)   # 1 + 1 - 0
        tensor(2.)
    """

    needs: ClassVar[Match] = Match.GRID
    minimum_positions: ClassVar[int] = 2

    def rows(self, student: Feature, teacher: Feature, /) -> tuple[Float[Tensor, "B 1"], Bool[Tensor, "B 1"] | None]:
        """The formula, for each sample."""
        s, t, valid = valid_pair(student.body(), teacher.body())
        s, t = (F.normalize(each, dim=1, eps=_FLOOR) for each in (s, t))
        value = _kernel_mean(t, t) + _kernel_mean(s, s) - 2 * _kernel_mean(s, t)
        return value.unsqueeze(1), None if valid is None else valid.any(1, keepdim=True)


def _kernel_mean(first: Float[Tensor, "B N C"], second: Float[Tensor, "B N D"]) -> Float[Tensor, " B"]:
    return (first.transpose(1, 2) @ second).square().mean((1, 2))


_FLOOR = 1e-6
