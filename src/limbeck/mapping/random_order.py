"""Links in a random order, as a control."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from limbeck.links import FeatureSpec, LayerMap, Link, Scores
from limbeck.mapping.family import Mapper
from limbeck.mapping.same_depth import SameDepth
from limbeck.mapping.trunk import refuse_unless_positive


@dataclass(frozen=True)
class RandomOrder(Mapper):
    """Link the sites of :class:`~limbeck.mapping.SameDepth` in a random order, the head inputs apart.

    A control: what a map in order gains over this is what the order is worth; Yu et al. 2025, on layer selection in
    knowledge distillation, https://arxiv.org/abs/2502.04499, find little. The order is drawn until it differs from the
    given one, if there are at least two inner links.

    Args:
        seed: of the order; default 0: our choice.
        links: how many links at most, the head's included; default 4: our choice.

    Raises:
        RecipeError: if ``links`` is below 1, or a network has no site.

    Example:
        >>> student, teacher = ([FeatureSpec(name, "BC", 8) for name in names] for names in ("abc", "ABC"))
        >>> sorted(link.teacher.site for link in RandomOrder(links=3)(student, teacher))
        ['A', 'B', 'C']
    """

    order_preserving: ClassVar[bool] = False

    seed: int = 0
    links: int = 4

    def __post_init__(self) -> None:
        refuse_unless_positive("RandomOrder", "links", self.links)

    def __call__(
        self, student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec], _scores: Scores | None = None, /
    ) -> LayerMap:
        """The links, in order of the student's sites."""
        links = SameDepth(links=self.links)(student, teacher)
        inner = [link for link in links if link.student.role != "head" or link.teacher.role != "head"]
        teachers = [link.teacher for link in inner]
        drawn, source = list(teachers), random.Random(self.seed)
        while len(inner) > 1 and drawn == teachers:
            source.shuffle(drawn)
        mixed = (Link(link.student, theirs) for link, theirs in zip(inner, drawn, strict=True))
        return (*mixed, *links[len(inner) :])
