"""What the associations share that learn queries and keys of the sites."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from limbeck.associations.family import Association, numbered, widths
from limbeck.links import Link

Sizes = tuple[tuple[tuple[int, int], ...], tuple[int, ...], tuple[int, ...]]


class Attending(Association):
    """An association that reads every site by a module of its own and weighs the links sample by sample.

    Args:
        pairs: the sites of each link.
        student_channels: of each student site.
        teacher_channels: of each teacher site.
        width: length of queries and keys.
    """

    needs_samples: ClassVar[bool] = True

    def __init__(
        self,
        pairs: Sequence[tuple[int, int]],
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        /,
        *,
        width: int,
    ) -> None:
        super().__init__(pairs)
        self.channels = tuple(student_channels), tuple(teacher_channels)
        self.width = width

    def extra_repr(self) -> str:
        """Sizes and options."""
        return f"{self.pairs}, {self.channels[0]}, {self.channels[1]}, width={self.width}"


def sizes(links: Sequence[Link]) -> Sizes:
    """Pairs, student's and teacher's channels, as the constructor takes them."""
    return numbered(links), widths(links, "student"), widths(links, "teacher")
