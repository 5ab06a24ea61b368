"""One linear map, the same at every position."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.projectors.family import Projector
from limbeck.projectors.resample import Resample


class Linear(Projector):
    r"""Map the student's channels to the target's by one matrix, the same at every position.

    From "Understanding the Role of the Projector in Knowledge Distillation" (Miles & Mikolajczyk, AAAI 2024),
    https://arxiv.org/abs/2303.11098, which finds deeper projectors worse:

    $$ p_n = W \tilde x_n + b $$

    with $\tilde x$ the student's positions brought to the target's (:class:`~limbeck.projectors.Resample`). $W$ starts
    orthogonal, as in VkD (Miles et al., CVPR 2024), https://arxiv.org/abs/2403.06213, so that at first all inner
    products are kept as far as the widths allow; it is free to leave that. $b$ starts at zero. For a student that knows
    something already, both can start at the ridge regression of the target on the student (Hoerl & Kennard 1970),
    on the first batches of the training (:func:`limbeck.planning.fit_targets` writes it):

    $$ W = Y^\top X (X^\top X + \lambda I)^{-1}, \qquad \lambda = \rho \operatorname{tr}(X^\top X) / C_s $$

    Shapes: student ``[B, Ns, Cs]`` to ``[B, Nt, Ct]``.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``, as the targets leave it.
        grid: the target's grid; ``()`` for a vector, ``None`` to leave the positions.
        prefix: how many prefix tokens the target has.
        bias: whether to add $b$; default: our choice, a target need not be centred.
        ridge: $\rho$, such as 0.01 (our choice), to start at the ridge regression; ``None`` to start orthogonal.

    Raises:
        ShapeMismatch: if the positions do not correspond; see :class:`~limbeck.projectors.Resample`.
        RecipeError: if ``ridge`` is not above 0.

    Example:
        >>> import torch
        >>> from limbeck.links import FeatureSpec, Link
        >>> link = Link(FeatureSpec("a", "BCHW", 8, 16, (4, 4)), FeatureSpec("b", "BCHW", 32, 4, (2, 2)))
        >>> linear = Linear.for_link(link)
        >>> linear(Feature(torch.ones(2, 16, 8), grid=(4, 4))).x.shape
        torch.Size([2, 4, 32])
        >>> linear.parameter_count
        288
    """

    aligns: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS | Match.GRID

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        /,
        *,
        grid: tuple[int, ...] | None = None,
        prefix: int = 0,
        bias: bool = True,
        ridge: float | None = None,
    ) -> None:
        super().__init__()
        if ridge is not None and not 0 < ridge < float("inf"):
            raise RecipeError(f"Linear needs a ridge above 0, such as 0.01, or none. Found ridge={ridge}.")
        self.ridge = ridge
        self.positions = Resample(grid=grid, prefix=prefix)
        self.map = nn.Linear(student_channels, teacher_channels, bias=bias)
        nn.init.orthogonal_(self.map.weight)
        if bias:
            nn.init.zeros_(self.map.bias)

    @classmethod
    def for_link(cls, link: Link, /, *, bias: bool = True, ridge: float | None = None) -> Linear:
        """Build one with the sizes of a link."""
        positions = Resample.for_link(link)
        channels = link.student.channels, link.teacher.channels
        return cls(*channels, grid=positions.grid, prefix=positions.prefix, bias=bias, ridge=ridge)

    def forward(self, student: Feature, /) -> Feature:
        """Project; the mask goes with the positions."""
        feature = self.positions(student)
        # A student in half precision meets a projector in full; autocast, where it is on, decides for itself.
        return feature.holding(self.map(feature.x.to(self.map.weight.dtype)))

    def extra_repr(self) -> str:
        """Sizes and options."""
        linear, positions = self.map, self.positions
        return (
            f"{linear.in_features}, {linear.out_features}, grid={positions.grid}, prefix={positions.prefix}, "
            f"bias={linear.bias is not None}, ridge={self.ridge}"
        )
