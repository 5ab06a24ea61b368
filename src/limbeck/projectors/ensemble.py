"""The mean of several projections."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.projectors.family import Projector
from limbeck.projectors.resample import Resample


class Ensemble(Projector):
    r"""Average several projections that start differently.

    From "Improved Feature Distillation via Projector Ensemble" (Chen et al., NeurIPS 2022),
    https://arxiv.org/abs/2210.15274:

    $$ p_n = \frac1q \sum_{k=1}^q \mathrm{ReLU}(W_k \tilde x_n + b_k) $$

    with $\tilde x$ the student's positions brought to the target's (:class:`~limbeck.projectors.Resample`). The paper
    finds that it helps even where the widths agree. With the ReLU it can only predict what is not negative: for a
    teacher's feature after a ReLU, in its own units. For a standardised or normalised target write ``relu: false``;
    then it is one linear map, whose steps are those of several.

    Differs from the paper: every $W_k$ starts orthogonal and every $b_k$ at zero, each drawn by itself.

    Shapes: student ``[B, Ns, Cs]`` to ``[B, Nt, Ct]``.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``, as the targets leave it.
        members: $q$; default 3: paper.
        relu: whether each member ends in a ReLU; default: paper.
        grid: the target's grid; ``()`` for a vector, ``None`` to leave the positions.
        prefix: how many prefix tokens the target has.

    Raises:
        ShapeMismatch: if the positions do not correspond; see :class:`~limbeck.projectors.Resample`.
        RecipeError: if there are no members.

    Example:
        >>> import torch
        >>> projector = Ensemble(2, 3)
        >>> bool((projector(Feature(torch.randn(5, 1, 2))).x >= 0).all()), projector.parameter_count
        (True, 27)
    """

    aligns: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS | Match.GRID

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        /,
        *,
        members: int = 3,
        relu: bool = True,
        grid: tuple[int, ...] | None = None,
        prefix: int = 0,
    ) -> None:
        super().__init__()
        if members < 1:
            raise RecipeError(f"Ensemble needs at least 1 member. Found {members}.")
        self.members = members
        self.relu = relu
        self.positions = Resample(grid=grid, prefix=prefix)
        self.map = nn.Linear(student_channels, members * teacher_channels)
        for weight in self.map.weight.chunk(members):
            nn.init.orthogonal_(weight)
        nn.init.zeros_(self.map.bias)

    @classmethod
    def for_link(cls, link: Link, /, *, members: int = 3, relu: bool = True) -> Ensemble:
        """Build one with the sizes of a link."""
        positions = Resample.for_link(link)
        channels = link.student.channels, link.teacher.channels
        return cls(*channels, members=members, relu=relu, grid=positions.grid, prefix=positions.prefix)

    def forward(self, student: Feature, /) -> Feature:
        """Project by every member and average; the mask goes with the positions."""
        feature = self.positions(student)
        # A student in half precision meets a projector in full; autocast, where it is on, decides for itself.
        x = self.map(feature.x.to(self.map.weight.dtype))
        x = x.relu() if self.relu else x
        return feature.holding(x.unflatten(-1, (self.members, -1)).mean(-2))

    def extra_repr(self) -> str:
        """Sizes and options."""
        linear = self.map
        return (
            f"{linear.in_features}, {linear.out_features // self.members}, members={self.members}, relu={self.relu}, "
            f"{self.positions.extra_repr()}"
        )
