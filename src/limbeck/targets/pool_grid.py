"""A target on the grid that both sides have."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from limbeck._math.resize import resize
from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.targets.family import Target


class PoolGrid(Target):
    r"""Average the teacher's positions to a smaller grid; prefix tokens are left out.

    As attention transfer (Zagoruyko & Komodakis, ICLR 2017), https://arxiv.org/abs/1612.03928, compares maps of
    different sizes: position $i$ of $M$ along each axis becomes

    $$ \frac{1}{e_i - s_i} \sum_{n = s_i}^{e_i - 1} t_n, \qquad
       s_i = \lfloor i N / M \rfloor, \quad e_i = \lceil (i + 1) N / M \rceil $$

    Of a padded sequence only the valid positions are averaged, each sample's by itself. The teacher is never
    interpolated to a larger grid: that would ask the student for detail that nobody saw.

    Shapes: ``[B, N, C]`` to ``[B, prod(grid), C]``.

    Args:
        grid: the grid to pool to.

    Raises:
        ShapeMismatch: if the teacher has no grid, one with another number of axes, or a smaller one.

    Example:
        >>> import torch
        >>> from limbeck.links import FeatureSpec, Link
        >>> student = FeatureSpec("a", "BCHW", 8, 64, (8, 8))
        >>> teacher = FeatureSpec("b", "BNC", 32, 197, (14, 14), prefix=1)
        >>> target = PoolGrid.for_link(Link(student, teacher))
        >>> target
        PoolGrid(grid=(8, 8))
        >>> target(Feature(torch.ones(2, 197, 32), grid=(14, 14), prefix=1)).x.shape
        torch.Size([2, 64, 32])
    """

    keeps_channels: ClassVar[bool] = True

    def __init__(self, *, grid: tuple[int, ...]) -> None:
        super().__init__()
        self.grid = tuple(grid)
        if not self.grid or min(self.grid) < 1:
            raise ShapeMismatch(f"PoolGrid needs a grid of at least one position. Found {self.grid}. Use PoolVector.")

    @classmethod
    def for_link(cls, link: Link, /, *, grid: tuple[int, ...] | None = None, most_positions: int = 4) -> PoolGrid:
        """Build one for the grid that both sides have: the smaller one along each axis.

        Args:
            link: the two sites.
            grid: a grid of your own instead.
            most_positions: how many positions to leave where the student has none of its own, and each would need a
                projector of its own; default: our choice.
        """
        if grid is not None:
            return cls(grid=grid)
        student, teacher = link.student, link.teacher
        if teacher.grid is None:
            raise ShapeMismatch(
                f"PoolGrid needs a teacher with a grid. Found {teacher.positions} positions without one at "
                f"'{teacher.site}'. Use PoolVector."
            )
        if student.variable or teacher.variable:
            raise ShapeMismatch(
                f"PoolGrid needs grids that do not change from batch to batch. Found a variable length at student "
                f"'{student.site}' or teacher '{teacher.site}'. Use PoolVector, or name a length: grid=[4]."
            )
        if _has_no_positions(student):
            return cls(grid=_small_grid(teacher.grid, most_positions))
        if student.grid is None or len(student.grid) != len(teacher.grid):
            raise ShapeMismatch(
                f"PoolGrid needs grids with as many axes on both sides. Found {student.grid} at student "
                f"'{student.site}', {teacher.grid} at teacher '{teacher.site}'. Use PoolVector."
            )
        return cls(grid=tuple(min(mine, theirs) for mine, theirs in zip(student.grid, teacher.grid, strict=True)))

    def forward(self, teacher: Feature, /) -> Feature:
        """Pool; the mask goes with the positions."""
        have = teacher.grid
        padded = teacher.mask is not None and len(self.grid) == 1
        if have is not None and not padded and any(h < w for h, w in zip(have, self.grid, strict=False)):
            raise ShapeMismatch(
                f"PoolGrid never enlarges: it needs a teacher of at least {self.grid}. Found {have}. Name a smaller "
                "grid, or plan again for this input size."
            )
        return resize(teacher, self.grid)

    def describe(self, spec: FeatureSpec, /) -> FeatureSpec:
        """The teacher's spec on the smaller grid."""
        positions = math.prod(self.grid)
        return dataclasses.replace(spec, positions=positions, grid=self.grid, prefix=0, summary=None, variable=False)

    def extra_repr(self) -> str:
        """Options."""
        return f"grid={self.grid}"


def _has_no_positions(spec: FeatureSpec) -> bool:
    return spec.prefix == 0 and spec.positions == 1


def _small_grid(grid: tuple[int, ...], most: int) -> tuple[int, ...]:
    """The largest grid within ``grid`` of at most ``most`` positions, its axes as equal as can be."""
    small = [1] * len(grid)
    growing = list(range(len(grid)))
    while growing:
        axis = min(growing, key=lambda each: small[each])
        if small[axis] < grid[axis] and math.prod(small) // small[axis] * (small[axis] + 1) <= most:
            small[axis] += 1
        else:
            growing.remove(axis)
    return tuple(small)
