"""Links in reverse order, as a control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from limbeck.links import FeatureSpec, LayerMap, Link, Scores
from limbeck.mapping.family import Mapper
from limbeck.mapping.same_depth import SameDepth
from limbeck.mapping.trunk import refuse_unless_positive


@dataclass(frozen=True)
class Reversed(Mapper):
    """Link the sites of :class:`~limbeck.mapping.SameDepth` in reverse order, the head inputs apart.

    A control: early student sites learn from late teacher sites. Yu et al. 2025, on layer selection in knowledge
    distillation, https://arxiv.org/abs/2502.04499, find that even this works.

    Args:
        links: how many links at most, the head's included; default 4: our choice.

    Raises:
        RecipeError: if ``links`` is below 1, or a network has no site.

    Example:
        >>> student, teacher = ([FeatureSpec(name, "BC", 8) for name in names] for names in ("abc", "ABC"))
        >>> [(link.student.site, link.teacher.site) for link in Reversed(links=3)(student, teacher)]
        [('a', 'C'), ('b', 'B'), ('c', 'A')]
    """

    order_preserving: ClassVar[bool] = False

    links: int = 4

    def __post_init__(self) -> None:
        refuse_unless_positive("Reversed", "links", self.links)

    def __call__(
        self, student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec], _scores: Scores | None = None, /
    ) -> LayerMap:
        """The links, in order of the student's sites."""
        links = SameDepth(links=self.links)(student, teacher)
        inner = [link for link in links if link.student.role != "head" or link.teacher.role != "head"]
        turned = (Link(a.student, b.teacher) for a, b in zip(inner, reversed(inner), strict=True))
        return (*turned, *links[len(inner) :])
