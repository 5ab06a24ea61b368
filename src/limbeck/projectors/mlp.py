"""Two linear maps with a nonlinearity between them."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.projectors.family import Projector
from limbeck.projectors.resample import Resample


class MLP(Projector):
    r"""Map the student's channels to the target's by a small network, the same at every position.

    The heads of "AM-RADIO: Agglomerative Vision Foundation Model" (Ranzinger et al., CVPR 2024),
    https://arxiv.org/abs/2312.06709:

    $$ p_n = W_2 \, \mathrm{GELU}(\mathrm{LN}(W_1 \tilde x_n + b_1)) + b_2 $$

    with $\tilde x$ the student's positions brought to the target's (:class:`~limbeck.projectors.Resample`), and LN with
    scale and shift. A projector that is not linear can satisfy the loss by itself while the student learns little:
    "Understanding the Role of the Projector in Knowledge Distillation", https://arxiv.org/abs/2303.11098, finds it
    worse than a linear one.

    Shapes: student ``[B, Ns, Cs]`` to ``[B, Nt, Ct]``.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``, as the targets leave it.
        hidden: channels between the two maps; ``None`` for ``Ct``: our choice.
        grid: the target's grid; ``()`` for a vector, ``None`` to leave the positions.
        prefix: how many prefix tokens the target has.

    Raises:
        ShapeMismatch: if the positions do not correspond; see :class:`~limbeck.projectors.Resample`.

    Example:
        >>> import torch
        >>> projector = MLP(2, 3, hidden=4)
        >>> projector(Feature(torch.ones(5, 1, 2))).x.shape
        torch.Size([5, 1, 3])
        >>> projector.parameter_count   # 4 x 2 + 4, twice 4, 3 x 4 + 3
        35
    """

    aligns: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS | Match.GRID

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        /,
        *,
        hidden: int | None = None,
        grid: tuple[int, ...] | None = None,
        prefix: int = 0,
    ) -> None:
        super().__init__()
        width = teacher_channels if hidden is None else hidden
        self.positions = Resample(grid=grid, prefix=prefix)
        self.first = nn.Linear(student_channels, width)
        self.norm = nn.LayerNorm(width)
        self.second = nn.Linear(width, teacher_channels)

    @classmethod
    def for_link(cls, link: Link, /, *, hidden: int | None = None) -> MLP:
        """Build one with the sizes of a link."""
        positions = Resample.for_link(link)
        channels = link.student.channels, link.teacher.channels
        return cls(*channels, hidden=hidden, grid=positions.grid, prefix=positions.prefix)

    def forward(self, student: Feature, /) -> Feature:
        """Project; the mask goes with the positions."""
        feature = self.positions(student)
        # A student in half precision meets a projector in full; autocast, where it is on, decides for itself.
        hidden = self.norm(self.first(feature.x.to(self.first.weight.dtype)))
        return feature.holding(self.second(nn.functional.gelu(hidden)))

    def extra_repr(self) -> str:
        """Sizes and options."""
        first, second = self.first, self.second
        return f"{first.in_features}, {second.out_features}, hidden={first.out_features}, {self.positions.extra_repr()}"
