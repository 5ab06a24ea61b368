"""One linear map for each position of the target."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.projectors.family import Projector


class PositionLinear(Projector):
    r"""Let a student's vector predict each position of a small grid by a matrix of its own.

    Our choice, for students without positions (an MLP, the last state of a recurrent net): a teacher's map pooled to a
    vector would lose where things are, and a matrix shared by all positions could only predict the same everywhere.

    $$ p_n = W_n x + b_n, \qquad n = 1 \dots N_t $$

    with $x$ the student's vector; of a student that has positions, what its head reads. Every $W_n$ starts orthogonal,
    every $b_n$ at zero.

    Shapes: student ``[B, 1, Cs]`` to ``[B, Nt, Ct]``, a few positions only: it learns ``Nt (Cs + 1) Ct`` numbers.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``, as the targets leave it.
        positions: ``Nt``, prefix included.
        grid: the target's grid.
        prefix: how many prefix tokens the target has.
        bias: whether to add $b_n$; default: our choice, a target need not be centred.

    Raises:
        ShapeMismatch: if the target has more than ``most_positions`` (default 4: our choice), or its number changes
            from batch to batch.

    Example:
        >>> import torch
        >>> from limbeck.links import FeatureSpec, Link
        >>> link = Link(FeatureSpec("a", "BC", 8), FeatureSpec("b", "BCHW", 32, 4, (2, 2)))
        >>> projector = PositionLinear.for_link(link)
        >>> projector(Feature(torch.ones(2, 1, 8))).x.shape
        torch.Size([2, 4, 32])
        >>> projector.parameter_count
        1152
    """

    aligns: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS | Match.GRID

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        /,
        *,
        positions: int,
        grid: tuple[int, ...] | None = None,
        prefix: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.positions = positions
        self.grid = None if grid is None else tuple(grid)
        self.prefix = prefix
        self.map = nn.Linear(student_channels, positions * teacher_channels, bias=bias)
        for weight in self.map.weight.chunk(positions):
            nn.init.orthogonal_(weight)
        if bias:
            nn.init.zeros_(self.map.bias)

    @classmethod
    def for_link(cls, link: Link, /, *, most_positions: int = 4, bias: bool = True) -> PositionLinear:
        """Build one with the sizes of a link."""
        student, teacher = link.student, link.teacher
        if student.variable or teacher.variable:
            raise ShapeMismatch(
                f"PositionLinear needs positions that mean the same in every batch. Found student '{student.site}' or "
                f"teacher '{teacher.site}' with a length that changes, so that the same place is another part of the "
                "input in each. Use Linear, after the target PoolVector if the lengths differ."
            )
        if teacher.positions > most_positions:
            raise ShapeMismatch(
                f"PositionLinear learns one matrix for each position, for {most_positions} positions at most. Found "
                f"{teacher.positions} at teacher '{teacher.site}'. Pool them first (target PoolGrid), or raise "
                "most_positions."
            )
        return cls(
            student.channels,
            teacher.channels,
            positions=teacher.positions,
            grid=teacher.grid,
            prefix=teacher.prefix,
            bias=bias,
        )

    def forward(self, student: Feature, /) -> Feature:
        """Predict every position from what the student's head reads."""
        # A student in half precision meets a projector in full; autocast, where it is on, decides for itself.
        x = self.map(student.pooled().to(self.map.weight.dtype))
        return Feature(x.unflatten(1, (self.positions, -1)), self.grid, self.prefix)

    def extra_repr(self) -> str:
        """Sizes and options."""
        linear = self.map
        return (
            f"{linear.in_features}, {linear.out_features // self.positions}, positions={self.positions}, "
            f"grid={self.grid}, prefix={self.prefix}, bias={linear.bias is not None}"
        )
