"""Class attention transfer."""

from __future__ import annotations

import math
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from limbeck._math.layers import linear
from limbeck._math.masking import both_valid, masked_mean
from limbeck._math.resize import resize
from limbeck.context import Heads
from limbeck.errors import PlanMismatch, RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.losses.family import FeatureLoss
from limbeck.losses.frozen_head import FrozenHead, head_of, require_head
from limbeck.losses.sizes import require_channels


class CATKD(FeatureLoss):
    r"""See each class where the teacher sees it: match the class activation maps of both heads.

    From "Class Attention Transfer Based Knowledge Distillation" (Guo et al., CVPR 2023),
    https://arxiv.org/abs/2304.12777:

    $$ \frac{1}{B K M} \sum_b \sum_k \left\lVert \frac{a^s_{bk}}{\lVert a^s_{bk} \rVert_2}
       - \frac{a^t_{bk}}{\lVert a^t_{bk} \rVert_2} \right\rVert_2^2, \qquad
       a_{bkm} = w_k^\top \, \mathrm{pool}(f_b)_m $$

    with $w_k$ the weights of the own head for class $k$, without its bias, and $M$ positions after pooling. The
    student's head is read as it is at this moment and learns from the loss too; the teacher's is frozen. Channels need
    not agree, but the link must join what the heads read, before it is averaged over positions; prefix tokens do not
    take part.

    Differs from the paper: a grid is pooled to at most its own length and the other side's along each axis.

    Shapes: student ``[B, Ns, Cs]``, teacher ``[B, Nt, Ct]``, on grids of equally many axes.

    Args:
        student_channels: ``Cs``.
        teacher_channels: ``Ct``.
        classes: ``K``.
        side: length of each axis after pooling; default 2: official code for CIFAR-100 (4 for ImageNet).
        normalise: whether to scale every map to length 1; default: paper (the official configurations for CIFAR-100
            do not).

    Raises:
        ShapeMismatch: if a side has no grid, the grids differ in their number of axes, or a normalised map would have a
            single position.
        RecipeError: if ``side`` is below 1.
        PlanMismatch: if it is used without the student's head, or the heads differ in their classes.

    Example:
        >>> import torch
        >>> from limbeck.links import FeatureSpec
        >>> link = Link(FeatureSpec("a", "BCHW", 4, 9, (3, 3)), FeatureSpec("b", "BCHW", 8, 16, (4, 4)))
        >>> loss = CATKD.for_link(link, Heads(nn.Linear(4, 10), nn.Linear(8, 10)))
        >>> student, teacher = Feature(torch.randn(2, 9, 4), (3, 3)), Feature(torch.randn(2, 16, 8), (4, 4))
        >>> bool(loss(student, teacher) > 0)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"student_head", "teacher_head"})
    needs: ClassVar[Match] = Match.NOTHING
    minimum_positions: ClassVar[int] = 2
    needs_raw_target: ClassVar[bool] = True
    zero_when_equal: ClassVar[bool] = False

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        classes: int,
        /,
        *,
        side: int = 2,
        normalise: bool = True,
    ) -> None:
        super().__init__()
        if side < 1:
            raise RecipeError(f"CATKD needs a side of at least 1. Found {side}. The official code takes 2 or 4.")
        self.student_channels = student_channels
        self.teacher_channels = teacher_channels
        self.classes = classes
        self.side = side
        self.normalise = normalise
        self.teacher_head = FrozenHead(teacher_channels, classes)
        # In a tuple, so that it is no submodule: the student owns it, and it stands in no state dict twice.
        self._student_head: tuple[nn.Linear, ...] = ()

    @classmethod
    def for_link(cls, link: Link, heads: Heads, /, *, side: int = 2, normalise: bool = True) -> CATKD:
        """Build one for the two heads."""
        mine = head_of(link.student, heads.student, cls.__name__, "student")
        theirs = head_of(link.teacher, heads.teacher, cls.__name__, "teacher")
        if mine.out_features != theirs.out_features:
            raise PlanMismatch(
                f"CATKD needs the same classes on both sides. Found a head of {mine.out_features} of the student and "
                f"{theirs.out_features} of the teacher. Use a loss that needs no head (MSE, CKA)."
            )
        sizes = mine.in_features, theirs.in_features, theirs.out_features
        loss = cls(*sizes, side=side, normalise=normalise)
        loss._common_grid(link.student.grid, link.teacher.grid)
        loss.teacher_head.copy(theirs)
        loss._student_head = (mine,)
        return loss

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The formula."""
        require_channels(self, "student", student, self.student_channels)
        require_channels(self, "teacher", teacher, self.teacher_channels)
        grid = self._common_grid(student.grid, teacher.grid)
        student, teacher = resize(student, grid), resize(teacher, grid)
        # Averaging over positions before a linear map or behind it is the same.
        mine = linear(student.x, self._own_head.weight)
        theirs = self.teacher_head.without_bias(teacher.x)
        if self.normalise:
            mine, theirs = F.normalize(mine, dim=1), F.normalize(theirs, dim=1)
        return masked_mean((mine - theirs).square().mean(-1), both_valid(student.mask, teacher.mask))

    @property
    def _own_head(self) -> nn.Linear:
        return require_head(self._student_head[0] if self._student_head else None, "CATKD", "student")

    def _common_grid(self, student: tuple[int, ...] | None, teacher: tuple[int, ...] | None) -> tuple[int, ...]:
        mine, theirs = student or (), teacher or ()
        grid = tuple(min(self.side, *sides) for sides in zip(mine, theirs, strict=False))
        if not grid or len(mine) != len(theirs) or (self.normalise and math.prod(grid) == 1):
            raise ShapeMismatch(
                "CATKD compares maps of several positions, on grids of equally many axes. Found student "
                f"{student}, teacher {teacher}, pooled to {grid}. Link what the heads read before it is "
                "averaged over positions, or use a loss that compares vectors (MSE, CKA)."
            )
        return grid

    def extra_repr(self) -> str:
        """Sizes and options."""
        sizes = f"{self.student_channels}, {self.teacher_channels}, {self.classes}"
        return f"{sizes}, side={self.side}, normalise={self.normalise}"
