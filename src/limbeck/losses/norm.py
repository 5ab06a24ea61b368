"""N-to-one representation matching."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck._math.layers import linear
from limbeck._math.masking import both_valid, masked_mean, zeroed
from limbeck._math.moments import standardised
from limbeck.context import Heads
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.losses.family import FeatureLoss
from limbeck.losses.sizes import require_channels

_EPS = 1e-5


class NORM(FeatureLoss):
    r"""Expand the student's feature into many predictions of the teacher's, each of which must be right.

    From "NORM: Knowledge Distillation via N-to-One Representation Matching" (Liu et al., ICLR 2023),
    https://arxiv.org/abs/2305.13803:

    $$ \sum_{i=1}^{R} \frac{1}{|V| \, C_t} \sum_{(b, n) \in V} \sum_c \bigl(u^{(i)}_{bnc} - t_{bnc}\bigr)^2, \qquad
       u = \mathrm{BN}(W s) $$

    over the positions $V$ that are valid on both sides, with $W$ a matrix from $C_s$ to $R \, C_t$ channels and batch
    norm over the valid positions of one process's batch, then scaled and shifted. The loss learns $W$, scale and shift.

    Differs from the paper: the student stays as it is, where the paper leads the expanded feature back into the
    student, through a second matrix that is added to its own feature; and the logits are left alone, where the official
    code normalises those of both networks.

    Shapes: student ``[B, N, Cs]``, teacher ``[B, N, Ct]``.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``.
        expansion: $R$; default 8: paper.

    Raises:
        ShapeMismatch: if positions differ, or the channels are not those it was built for, or there is one sample.
        RecipeError: if ``expansion`` is below 1.

    Example:
        >>> loss = NORM(4, 6, expansion=2)
        >>> student, teacher = Feature(torch.randn(8, 9, 4)), Feature(torch.zeros(8, 9, 6))
        >>> round(loss(student, teacher).item(), 2)   # batch norm gives every channel a mean square of 1, twice
        2.0
    """

    needs: ClassVar[Match] = Match.POSITIONS
    zero_when_equal: ClassVar[bool] = False
    minimum_batch: ClassVar[int] = 2

    def __init__(self, student_channels: int, teacher_channels: int, /, *, expansion: int = 8) -> None:
        super().__init__()
        if expansion < 1:
            raise RecipeError(f"NORM needs an expansion of at least 1. Found {expansion}. The paper takes 8.")
        self.teacher_channels = teacher_channels
        self.expansion = expansion
        self.expand = nn.Linear(student_channels, expansion * teacher_channels, bias=False)
        self.scale = nn.Parameter(torch.ones(expansion * teacher_channels))
        self.shift = nn.Parameter(torch.zeros(expansion * teacher_channels))

    @classmethod
    def for_link(cls, link: Link, _heads: Heads, /, *, expansion: int = 8) -> NORM:
        """Build one with the sizes of a link."""
        return cls(link.student.channels, link.teacher.channels, expansion=expansion)

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        require_channels(self, "student", student, self.expand.in_features)
        require_channels(self, "teacher", teacher, self.teacher_channels)
        valid = both_valid(student.mask, teacher.mask)
        expanded = standardised(linear(student.x, self.expand.weight), valid, eps=_EPS)
        predicted = expanded * self.scale.to(expanded.dtype) + self.shift.to(expanded.dtype)
        error = predicted.unflatten(-1, (self.expansion, -1)) - zeroed(teacher.x, valid).unsqueeze(2)
        return self.expansion * masked_mean(error.square().mean((-1, -2)), valid)

    def extra_repr(self) -> str:
        """Sizes and options."""
        return f"{self.expand.in_features}, {self.teacher_channels}, expansion={self.expansion}"
