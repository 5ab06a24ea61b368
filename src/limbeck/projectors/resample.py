"""Brings a student's positions to the target's."""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from limbeck._math.resize import resize
from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link, Match
from limbeck.projectors.family import Projector


class Resample(Projector):
    r"""Bring the student's positions to the target's; learns nothing.

    As attention transfer (Zagoruyko & Komodakis, ICLR 2017), https://arxiv.org/abs/1612.03928, compares maps of
    different sizes, axes that shrink are averaged: position $i$ of $M$ becomes

    $$ \frac{1}{e_i - s_i} \sum_{n = s_i}^{e_i - 1} x_n, \qquad
       s_i = \lfloor i N / M \rfloor, \quad e_i = \lceil (i + 1) N / M \rceil $$

    and axes that grow are interpolated linearly. Of a padded sequence only the valid positions are averaged, each
    sample's by itself.

    Shapes: student ``[B, Ns, C]`` to ``[B, Nt, C]``.

    Args:
        grid: the grid to bring the positions to; ``()`` for the vector that the head reads, ``None`` to leave them.
        prefix: how many prefix tokens the target has: 0 drops the student's, else they are kept.

    Raises:
        ShapeMismatch: if the positions do not correspond: grids of another number of axes, a vector against a grid,
            sequences that are cut into other pieces on each side.

    Example:
        >>> import torch
        >>> from limbeck.links import FeatureSpec, Link
        >>> link = Link(FeatureSpec("a", "BCHW", 8, 16, (4, 4)), FeatureSpec("b", "BCHW", 32, 4, (2, 2)))
        >>> resample = Resample.for_link(link)
        >>> resample
        Resample(grid=(2, 2), prefix=0)
        >>> resample(Feature(torch.ones(2, 16, 8), grid=(4, 4))).x.shape
        torch.Size([2, 4, 8])
    """

    aligns: ClassVar[Match] = Match.POSITIONS | Match.GRID

    def __init__(self, *, grid: tuple[int, ...] | None = None, prefix: int = 0) -> None:
        super().__init__()
        self.grid = None if grid is None else tuple(grid)
        self.prefix = prefix

    @classmethod
    def for_link(cls, link: Link, /) -> Resample:
        """Build one for a link."""
        student, teacher = link.student, link.teacher
        if teacher.grid is None and teacher.positions == 1:
            return cls(grid=None if _is_vector(student) else ())
        if teacher.prefix not in {0, student.prefix}:
            raise ShapeMismatch(
                f"Prefix tokens have no counterpart: {_pair(link)} have {student.prefix} and {teacher.prefix}. "
                "Pool the teacher's side without them (target PoolGrid or PoolVector)."
            )
        if teacher.variable:
            return cls._for_sequences(link)
        if student.grid == teacher.grid and student.variable == teacher.variable and _body(student) == _body(teacher):
            return cls(prefix=teacher.prefix)
        ranks_differ = student.grid is None or teacher.grid is None or len(student.grid) != len(teacher.grid)
        if ranks_differ and _body(teacher) > 1:
            raise ShapeMismatch(
                f"Positions must correspond. Found {_pair(link)} with grids {student.grid} and {teacher.grid} "
                f"({student.positions} and {teacher.positions} positions). Pool the teacher's side to a vector (target "
                "PoolVector); a student's vector can predict a pooled grid with PositionLinear."
            )
        return cls(grid=teacher.grid, prefix=teacher.prefix)

    @classmethod
    def _for_sequences(cls, link: Link) -> Resample:
        student, teacher = link.student, link.teacher
        if not student.variable or student.positions - student.prefix != teacher.positions - teacher.prefix:
            raise ShapeMismatch(
                f"Sequences whose length changes must be cut into the same pieces on both sides. Found {_pair(link)} "
                f"with {student.positions} and {teacher.positions} positions for one batch. Pool the teacher's side to "
                "a vector (target PoolVector), or to a fixed length (target PoolGrid with grid=[4])."
            )
        return cls(prefix=teacher.prefix)

    def forward(self, student: Feature, /) -> Feature:
        """Bring the positions over; the mask goes with them."""
        if self.prefix not in {0, student.prefix}:
            raise ShapeMismatch(
                f"Resample was built for {self.prefix} prefix tokens. Found {student.prefix}. Build it again with "
                "Resample.for_link(link)."
            )
        if self.grid is None:
            return student if self.prefix else student.body()
        body = resize(student, self.grid)
        return _with_prefix(student, body) if self.prefix else body

    def extra_repr(self) -> str:
        """Options."""
        return f"grid={self.grid}, prefix={self.prefix}"


def _with_prefix(student: Feature, body: Feature) -> Feature:
    count = student.prefix
    x = torch.cat([student.x[:, :count], body.x], 1)
    mask = None
    if student.mask is not None and body.mask is not None:
        mask = torch.cat([student.mask[:, :count], body.mask], 1)
    summary = student.summary if student.summary is not None and 0 <= student.summary < count else None
    return Feature(x, body.grid, count, mask, summary)


def _is_vector(spec: FeatureSpec) -> bool:
    return spec.grid is None and spec.positions == 1


def _body(spec: FeatureSpec) -> int:
    return spec.positions - spec.prefix if spec.grid is None else math.prod(spec.grid)


def _pair(link: Link) -> str:
    return f"student '{link.student.site}' and teacher '{link.teacher.site}'"
