"""Which site of the student learns from which site of the teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Flag, auto
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck.errors import LayoutError
from limbeck.features import Feature


class Match(Flag):
    """In what two features are alike, or must be."""

    NOTHING = 0
    CHANNELS = auto()
    POSITIONS = auto()
    GRID = auto()


Role = Literal["block", "stage", "head"]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What is known of a site before training.

    Attributes:
        site: dotted module name; ``name:input`` is the module's input, ``name@k`` its k-th call in a forward.
        axes: the role of each axis of the raw tensor: ``B`` batch, ``C`` channels, any other letter a position axis
            (``BCHW``, ``BHWC``, ``BNC``, ``LBC``, ``BCL``, ``BC``).
        channels: ``C``.
        positions: ``N`` on the probed batch, prefix included.
        grid: the grid that the positions behind the prefix form on the probed batch.
        prefix: class, register and distillation tokens in front.
        summary: the position that the head reads, ``None`` for the mean.
        variable: whether ``N`` changes from batch to batch, as padded text does.
        depth: share of the network's blocks that have run when the site fires, in (0, 1].
        stage: number of the stage, counted from 0: consecutive sites of one grid.
        role: ``block`` inside a stage, ``stage`` at its end, ``head`` for the input of the head (penultimate).
        own_positions: whether they are those of other tokens than the other network's, so that they correspond to none.
    """

    site: str
    axes: str
    channels: int
    positions: int = 1
    grid: tuple[int, ...] | None = None
    prefix: int = 0
    summary: int | None = None
    variable: bool = False
    depth: float = 1.0
    stage: int = 0
    role: Role = "block"
    own_positions: bool = False

    def canonical(self, raw: Tensor, mask: Bool[Tensor, "B N"] | None = None) -> Feature:
        """Turn what the site yields into ``[B, N, C]``.

        Raises:
            LayoutError: if ``raw`` has another number of axes than ``self.axes`` names.

        Example:
            >>> import torch
            >>> spec = FeatureSpec("layer1", "BCHW", channels=3, positions=4, grid=(2, 2))
            >>> spec.canonical(torch.zeros(5, 3, 2, 2)).x.shape
            torch.Size([5, 4, 3])
        """
        if raw.ndim != len(self.axes):
            raise LayoutError(
                f"Site '{self.site}' was read as {self.axes} ({len(self.axes)} axes). Found shape {tuple(raw.shape)}. "
                f"State its layout: layouts={{'{self.site}': 'BNC'}}, or another string of that kind."
            )
        places = [i for i, role in enumerate(self.axes) if role not in "BC"]
        order = [self.axes.index("B"), *places, self.axes.index("C")]
        ordered = raw.permute(order)
        sizes = tuple(ordered.shape[1:-1])
        x = ordered.flatten(1, -2) if sizes else ordered.unsqueeze(1)
        mask = mask if mask is not None and mask.shape == x.shape[:2] else None
        return Feature(x, self._grid(sizes), self.prefix, mask, self.summary)

    def _grid(self, sizes: tuple[int, ...]) -> tuple[int, ...] | None:
        if len(sizes) != 1 or self.grid is None or len(self.grid) == 1:
            return (sizes[0] - self.prefix,) if len(sizes) == 1 and self.grid is not None else (sizes or None)
        body = sizes[0] - self.prefix
        scale = math.sqrt(body / math.prod(self.grid)) if len(self.grid) == 2 else 1.0
        scaled = tuple(round(side * scale) for side in self.grid)
        return scaled if math.prod(scaled) == body else (body,)


@dataclass(frozen=True, slots=True)
class Link:
    """A student site and the teacher site that it learns from."""

    student: FeatureSpec
    teacher: FeatureSpec

    def already_equal(self) -> Match:
        """In what the two features agree without a projector.

        Example:
            >>> Link(FeatureSpec("a", "BC", 8), FeatureSpec("b", "BC", 8)).already_equal() is Match(7)
            True
        """
        student, teacher = self.student, self.teacher
        equal = Match.NOTHING
        if student.channels == teacher.channels:
            equal |= Match.CHANNELS
        if (student.own_positions or teacher.own_positions) and max(student.positions, teacher.positions) > 1:
            return equal
        # As many positions in another order, such as 784 tokens against 28 x 28, do not correspond.
        alike = student.grid == teacher.grid
        if student.positions == teacher.positions and student.prefix == teacher.prefix:
            equal |= Match.GRID if alike else Match.NOTHING
            equal |= Match.POSITIONS if alike or student.grid is None or teacher.grid is None else Match.NOTHING
        return equal


LayerMap = tuple[Link, ...]
Scores = Float[Tensor, "S T"]
