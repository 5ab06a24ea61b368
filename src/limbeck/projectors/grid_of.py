"""The grid that a projector works on."""

from __future__ import annotations

from limbeck.errors import ShapeMismatch
from limbeck.links import Link


def grid_of(link: Link, name: str) -> tuple[int, ...]:
    """The target's grid, for a projector that convolves over it.

    Args:
        link: its teacher side described as the targets leave it.
        name: of the projector, for the error.

    Raises:
        ShapeMismatch: if the target has no grid, or prefix tokens that are on none.
    """
    teacher = link.teacher
    if teacher.grid is None or teacher.prefix:
        raise ShapeMismatch(
            f"{name} convolves over a grid without prefix tokens. Found grid {teacher.grid} with {teacher.prefix} "
            f"prefix tokens at teacher '{teacher.site}'. Pool the teacher's side (target PoolGrid), or use Linear."
        )
    return teacher.grid
