"""Each position of the target looks where it likes in the student's feature."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.projectors.family import Projector


class CrossAttention(Projector):
    r"""Let each position of the target gather what it needs from all of the student's positions.

    After "ScaleKD: Strong Vision Transformers Could Be Excellent Teachers" (Fan et al., NeurIPS 2024),
    https://arxiv.org/abs/2411.06786, for pairs whose positions do not correspond, such as a network without a grid that
    learns from patches:

    $$ p_n = W_o \sum_m a_{nm} W_v z_m + b_o, \qquad
       a_{nm} = \operatorname{softmax}_m \frac{q_n^\top W_k z_m}{\sqrt d}, \qquad z_m = \mathrm{LN}(x_m) + e_m $$

    with a learned query $q_n$ for every position of the target and, where the student's number of positions is fixed, a
    learned $e_m$ for each of those, both over several heads of $d$ channels. Padded positions are not looked at.

    Differs from the paper: the attention alone, without the block's MLP and without the branches on frequencies and on
    the teacher's last stage.

    Shapes: student ``[B, Ns, Cs]`` to ``[B, Nt, Ct]``.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``, as the targets leave it.
        student_positions: ``Ns``, prefix included; ``None`` if it changes from batch to batch.
        positions: ``Nt``, prefix included.
        heads: number of heads; default 4: our choice.
        head_channels: $d$; default 64: our choice.
        grid: the target's grid.
        prefix: how many prefix tokens the target has.

    Raises:
        ShapeMismatch: if the target's number of positions changes from batch to batch; if the student has a single
            position and the target several, which would all be the same; if a batch has other positions than built for.
        RecipeError: if there are no heads or no channels in them.

    Example:
        >>> from limbeck.links import FeatureSpec
        >>> link = Link(FeatureSpec("a", "BCHW", 8, 16, (4, 4)), FeatureSpec("b", "BNC", 32, 10, (3, 3), prefix=1))
        >>> projector = CrossAttention.for_link(link)
        >>> projector(Feature(torch.ones(2, 16, 8), grid=(4, 4))).x.shape
        torch.Size([2, 10, 32])
    """

    aligns: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS | Match.GRID

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        /,
        *,
        student_positions: int | None,
        positions: int,
        heads: int = 4,
        head_channels: int = 64,
        grid: tuple[int, ...] | None = None,
        prefix: int = 0,
    ) -> None:
        super().__init__()
        if heads < 1 or head_channels < 1:
            raise RecipeError(
                f"CrossAttention needs at least 1 head of 1 channel. Found heads={heads}, "
                f"head_channels={head_channels}."
            )
        self.student_positions = student_positions
        self.grid = None if grid is None else tuple(grid)
        self.prefix = prefix
        width = heads * head_channels
        self.query = nn.Parameter(torch.randn(heads, positions, head_channels))
        self.norm = nn.LayerNorm(student_channels)
        fixed = student_positions is not None
        self.place = nn.Parameter(0.02 * torch.randn(student_positions, student_channels)) if fixed else None
        self.key = nn.Linear(student_channels, width, bias=False)
        self.value = nn.Linear(student_channels, width, bias=False)
        self.out = nn.Linear(width, teacher_channels)

    @classmethod
    def for_link(cls, link: Link, /, *, heads: int = 4, head_channels: int = 64) -> CrossAttention:
        """Build one with the sizes of a link."""
        student, teacher = link.student, link.teacher
        if teacher.variable:
            raise ShapeMismatch(
                f"CrossAttention learns a query for each position. Found teacher '{teacher.site}' with a length that "
                "changes. Pool it first (target PoolVector, or PoolGrid with grid=[4])."
            )
        if student.positions == 1 and not student.variable and teacher.positions > 1:
            raise ShapeMismatch(
                f"CrossAttention needs positions to look at. Found a single one at student '{student.site}', and "
                f"{teacher.positions} at teacher '{teacher.site}'. Use PositionLinear."
            )
        return cls(
            student.channels,
            teacher.channels,
            student_positions=None if student.variable else student.positions,
            positions=teacher.positions,
            heads=heads,
            head_channels=head_channels,
            grid=teacher.grid,
            prefix=teacher.prefix,
        )

    def forward(self, student: Feature, /) -> Feature:
        """Attend; a sample without a valid position gives none."""
        heads, positions, channels = self.query.shape
        # A student in half precision meets a projector in full; autocast, where it is on, decides for itself.
        z = self.norm(student.x.to(self.norm.weight.dtype))
        if self.place is not None:
            self._require(student)
            z = z + self.place
        key, value = (each(z).unflatten(-1, (heads, channels)).transpose(1, 2) for each in (self.key, self.value))
        x = self._attend(key, value, student.mask)
        x = self.out(x.transpose(1, 2).flatten(2))
        mask = None if student.mask is None else student.mask.any(1, keepdim=True).expand(-1, positions)
        return Feature(x, self.grid, self.prefix, mask)

    def _attend(
        self, key: Float[Tensor, "B H N D"], value: Float[Tensor, "B H N D"], mask: Tensor | None
    ) -> Float[Tensor, "B H M D"]:
        score = self.query.to(key.dtype) @ key.transpose(-1, -2) / self.query.shape[-1] ** 0.5
        if mask is not None:
            hidden = ~mask[:, None, None, :]
            score = score.masked_fill(hidden, torch.finfo(score.dtype).min)
            value = value.masked_fill(hidden.transpose(-1, -2), 0.0)
        return score.softmax(-1).to(value.dtype) @ value

    def _require(self, student: Feature) -> None:
        if student.x.shape[1] != self.student_positions:
            raise ShapeMismatch(
                f"CrossAttention was built for {self.student_positions} positions of the student. Found "
                f"{student.x.shape[1]}. Give inputs of one size, or use Linear."
            )

    def extra_repr(self) -> str:
        """Sizes and options."""
        heads, positions, channels = self.query.shape
        return (
            f"{self.key.in_features}, {self.out.out_features}, student_positions={self.student_positions}, "
            f"positions={positions}, heads={heads}, head_channels={channels}, grid={self.grid}, prefix={self.prefix}"
        )
