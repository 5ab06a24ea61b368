"""Links between the last stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.links import FeatureSpec, LayerMap, Link, Scores
from limbeck.mapping.family import Mapper
from limbeck.mapping.trunk import landmarks, refuse_unless_positive, trunks


@dataclass(frozen=True)
class LastStages(Mapper):
    """Link the last stages one by one, counted from the end, without the head inputs.

    The map of "Understanding the Role of the Projector in Knowledge Distillation" (Miles & Mikolajczyk, AAAI 2024),
    https://arxiv.org/abs/2303.11098, which taps the last two stages. Of a network with fewer than three stages its last
    blocks are taken; of one with nothing but a head input, that.

    Args:
        count: how many stages at most; default 2: official code.

    Raises:
        RecipeError: if ``count`` is below 1, or a network has no site.

    Example:
        >>> def net(*names: str) -> list[FeatureSpec]:
        ...     return [FeatureSpec(name, "BCHW", 8, 16, (4, 4), role="stage") for name in names]
        >>> links = LastStages()(net("a", "b", "c"), net("A", "B", "C", "D"))
        >>> [(link.student.site, link.teacher.site) for link in links]
        [('b', 'C'), ('c', 'D')]
    """

    count: int = 2

    def __post_init__(self) -> None:
        refuse_unless_positive("LastStages", "count", self.count)

    def __call__(
        self, student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec], _scores: Scores | None = None, /
    ) -> LayerMap:
        """The links, in order of the student's sites."""
        inner = trunks(student, teacher)
        mine = landmarks(inner.student or student)
        theirs = landmarks(inner.teacher or teacher)
        count = min(self.count, len(mine), len(theirs))
        return tuple(Link(*pair) for pair in zip(mine[-count:], theirs[-count:], strict=True))
