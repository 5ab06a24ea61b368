"""Student sites fused from deep to shallow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from limbeck._math.resize import resize
from limbeck.associations.family import Association, Compared, numbered
from limbeck.errors import PlanMismatch
from limbeck.features import Feature
from limbeck.links import Link, Match

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class ReviewFusion(Association):
    r"""Every student site answers together with all deeper ones: shallow teacher sites teach the deep student too.

    From "Distilling Knowledge via Knowledge Review" (Chen et al., CVPR 2021), https://arxiv.org/abs/2104.09044: from
    the deepest site to the shallowest,

    $$ x_i = \operatorname{BN}(\operatorname{conv}_{1}(s_i)), \quad
       (a, b) = \sigma\bigl(\operatorname{conv}_{1}([x_i; y_{i+1}])\bigr), \quad
       z_i = a \odot x_i + b \odot y_{i+1}, \quad
       \hat s_i = \operatorname{BN}(\operatorname{conv}_{3}(z_i)) $$

    with $y_{i+1}$ the $z_{i+1}$ of the next deeper site brought to this site's grid (nearest), $z = x$ at the deepest,
    and $\hat s_i$ compared with the teacher in place of $s_i$. The value is the mean over the links. The published loss
    on a link is :class:`~limbeck.losses.HCL`.

    Differs from the paper: the mean over links instead of their sum; sequences have 1-D convolutions, a vector has a
    grid of one position.

    Shapes: student ``[B, N, Cs]`` on a grid, to ``[B, M, Ct]`` on the target's grid.

    Args:
        pairs: the sites of each link; one for each student site.
        student_channels: of each link.
        target_channels: of each link.
        grids: of the target of each link; ``()`` for a vector.
        width: channels inside; default: the deepest target's, at most 512: official code.

    Raises:
        PlanMismatch: if a student site stands in two links, or the sites' grids have different numbers of axes.

    Example:
        >>> from limbeck.links import FeatureSpec
        >>> shallow = FeatureSpec("a", "BCHW", 8, 16, (4, 4), depth=0.5)
        >>> deep = FeatureSpec("b", "BCHW", 8, 16, (4, 4), depth=1.0)
        >>> fusion = ReviewFusion.for_links([Link(shallow, shallow), Link(deep, deep)])
        >>> fused = fusion.fuse([Feature(torch.randn(2, 16, 8), (4, 4)), Feature(torch.randn(2, 16, 8), (4, 4))])
        >>> [tuple(each.x.shape) for each in fused]
        [(2, 16, 8), (2, 16, 8)]
    """

    aligns: ClassVar[Match] = Match.CHANNELS | Match.POSITIONS | Match.GRID
    # Batch normalisation at a site of one position has no variance of one sample.
    minimum_batch: ClassVar[int] = 2

    def __init__(
        self,
        pairs: Sequence[tuple[int, int]],
        student_channels: Sequence[int],
        target_channels: Sequence[int],
        grids: Sequence[tuple[int, ...]],
        /,
        *,
        width: int | None = None,
    ) -> None:
        super().__init__(pairs)
        if len(set(self.rows)) != len(self.rows):
            raise PlanMismatch(
                "ReviewFusion gives each student site one link. Found one with two. Use mapping: SameDepth."
            )
        self.sizes = tuple(student_channels), tuple(target_channels)
        self.grids = tuple(grids)
        self.width = width
        inner = width or min(512, target_channels[self._deepest_first()[0]])
        axes = {len(grid) for grid in self.grids if grid} or {1}
        if len(axes) > 1:
            raise PlanMismatch(f"ReviewFusion needs grids of one kind. Found {self.grids}. Link sites of one kind.")
        self.axes = axes.pop()
        self.enter = nn.ModuleList(self._block(channels, inner, 1) for channels in student_channels)
        self.leave = nn.ModuleList(self._block(inner, channels, 3) for channels in target_channels)
        self.gates = nn.ModuleList(_CONVOLUTIONS[self.axes](2 * inner, 2, 1) for _ in student_channels)

    @classmethod
    def for_links(cls, links: Sequence[Link], /, *, width: int | None = None) -> ReviewFusion:
        """Build one with the sizes of the links."""
        mine, theirs = [link.student for link in links], [link.teacher for link in links]
        grids = [spec.grid if spec.positions > 1 and spec.grid is not None else () for spec in theirs]
        return cls(numbered(links), [s.channels for s in mine], [t.channels for t in theirs], grids, width=width)

    def fuse(self, students: Sequence[Feature], /) -> Sequence[Feature]:
        """The formula."""
        fused: dict[int, Feature] = {}
        deeper: Tensor | None = None
        for link in self._deepest_first():
            x = self.enter[link](self._image(students[link]))
            if deeper is not None:
                y = F.interpolate(deeper, x.shape[2:], mode="nearest")
                gate = self.gates[link](torch.cat([x, y], 1)).sigmoid()
                x = x * gate[:, :1] + y * gate[:, 1:]
            deeper = x
            out = self.leave[link](x)
            feature = Feature(out.flatten(2).transpose(1, 2), tuple(out.shape[2:]))
            fused[link] = resize(feature, self.grids[link])
        return [fused[link] for link in range(len(self.pairs))]

    def weigh(self, compared: Compared, /) -> Float[Tensor, "R A"]:
        """All alike."""
        return torch.full_like(compared.costs, 1.0 / len(compared.links))

    def extra_repr(self) -> str:
        """Sizes and options."""
        return f"{self.pairs}, {self.sizes[0]}, {self.sizes[1]}, {self.grids}, width={self.width}"

    def _deepest_first(self) -> list[int]:
        return sorted(range(len(self.pairs)), key=lambda link: -self.rows[link])

    def _block(self, channels: int, out: int, kernel: int) -> nn.Module:
        convolution = _CONVOLUTIONS[self.axes](channels, out, kernel, padding=kernel // 2, bias=False)
        nn.init.kaiming_uniform_(convolution.weight, a=1)
        return nn.Sequential(convolution, _NORMS[self.axes](out))

    def _image(self, feature: Feature) -> Tensor:
        """The feature as a map with the channels first; a vector as a map of one position."""
        body = feature.body()
        if body.grid is not None and len(body.grid) == self.axes:
            return body.x.transpose(1, 2).unflatten(2, body.grid)
        return feature.pooled().reshape(*feature.pooled().shape, *(1,) * self.axes)
