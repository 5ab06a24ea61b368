"""A linear map that keeps all inner products, throughout training."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.projectors.family import Projector
from limbeck.projectors.resample import Resample


class Orthogonal(Projector):
    r"""Map the student's channels by a matrix that stays orthogonal, so that it cannot hide a mismatch.

    From "$V_kD$: Improving Knowledge Distillation using Orthogonal Projections" (Miles et al., CVPR 2024),
    https://arxiv.org/abs/2403.06213:

    $$ p_n = Q \tilde x_n, \qquad Q^\top Q = I \text{ if } C_t \ge C_s, \quad Q Q^\top = I \text{ else} $$

    with $\tilde x$ the student's positions brought to the target's (:class:`~limbeck.projectors.Resample`). Inner
    products of the student's features are those of what reaches the loss; with $C_t < C_s$ only those within a part of
    $C_t$ dimensions. The paper's target is :class:`~limbeck.targets.LayerNorm`.

    Differs from the paper: $Q$ comes from the QR decomposition of a free matrix $W = Q R$ with $R_{ii} > 0$, instead of
    the exponential of a skew one: the same matrices at a lower cost, $O(C_s^2 C_t)$ at each step.

    Shapes: student ``[B, Ns, Cs]`` to ``[B, Nt, Ct]``.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``, as the targets leave it.
        grid: the target's grid; ``()`` for a vector, ``None`` to leave the positions.
        prefix: how many prefix tokens the target has.

    Raises:
        ShapeMismatch: if the positions do not correspond; see :class:`~limbeck.projectors.Resample`.

    Example:
        >>> projector = Orthogonal(3, 8)
        >>> x = torch.randn(4, 1, 3)
        >>> out = projector(Feature(x)).x
        >>> torch.allclose(out[:, 0] @ out[:, 0].T, x[:, 0] @ x[:, 0].T, atol=1e-5)
        True
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
    ) -> None:
        super().__init__()
        self.positions = Resample(grid=grid, prefix=prefix)
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(teacher_channels, student_channels)))

    @classmethod
    def for_link(cls, link: Link, /) -> Orthogonal:
        """Build one with the sizes of a link."""
        positions = Resample.for_link(link)
        return cls(link.student.channels, link.teacher.channels, grid=positions.grid, prefix=positions.prefix)

    def matrix(self) -> Float[Tensor, "T S"]:
        """$Q$, computed in full precision."""
        wide = self.weight.shape[0] < self.weight.shape[1]
        free = self.weight if self.weight.dtype == torch.float64 else self.weight.float()
        q, r = torch.linalg.qr(free.T if wide else free)
        # The decomposition leaves the signs open; fixed ones make the orthogonal matrix a continuous function.
        q = q * torch.where(r.diagonal() < 0, -1.0, 1.0).to(q.dtype)
        return (q.T if wide else q).to(self.weight.dtype)

    def forward(self, student: Feature, /) -> Feature:
        """Project; the mask goes with the positions."""
        feature = self.positions(student)
        # A student in half precision meets a projector in full; autocast, where it is on, decides for itself.
        return feature.holding(F.linear(feature.x.to(self.weight.dtype), self.matrix()))

    def extra_repr(self) -> str:
        """Sizes and options."""
        teacher_channels, student_channels = self.weight.shape
        return f"{student_channels}, {teacher_channels}, {self.positions.extra_repr()}"
