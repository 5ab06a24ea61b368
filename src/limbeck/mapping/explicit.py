"""Links that are written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from limbeck.errors import RecipeError, nearest
from limbeck.links import FeatureSpec, LayerMap, Link, Scores
from limbeck.mapping.family import Mapper


@dataclass(frozen=True)
class Explicit(Mapper):
    """Link exactly the sites that are named, where the choice is yours.

    Args:
        pairs: a student site and a teacher site for each link; a site may stand in several.

    Raises:
        RecipeError: if there is no pair, an entry is no pair, or a site does not exist.

    Example:
        >>> student, teacher = [FeatureSpec("fc1", "BC", 8)], [FeatureSpec("layer4", "BCHW", 64, 16, (4, 4))]
        >>> (link,) = Explicit(pairs=(("fc1", "layer4"),))(student, teacher)
        >>> link.student.site, link.teacher.site
        ('fc1', 'layer4')
    """

    order_preserving: ClassVar[bool] = False
    names_sites: ClassVar[bool] = True

    pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        pairs = tuple(tuple(each) for each in self.pairs)
        if not pairs or any(len(each) != 2 for each in pairs):
            raise RecipeError(
                f"Explicit needs pairs of a student site and a teacher site. Found {self.pairs}. Write "
                "pairs: [[student_site, teacher_site], ...]."
            )
        object.__setattr__(self, "pairs", pairs)

    def __call__(
        self, student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec], _scores: Scores | None = None, /
    ) -> LayerMap:
        """The named links, in order of the student's sites."""
        links = [
            Link(_find(student, mine, "student"), _find(teacher, theirs, "teacher")) for mine, theirs in self.pairs
        ]
        order = {each.site: i for i, each in enumerate(student)}
        return tuple(sorted(links, key=lambda link: order[link.student.site]))


def _find(specs: Sequence[FeatureSpec], site: str, side: str) -> FeatureSpec:
    for spec in specs:
        if spec.site == site:
            return spec
    raise RecipeError(
        f"The {side} has no site '{site}'. {nearest(site, [each.site for each in specs])} "
        "`limbeck inspect MODEL` lists them."
    )
