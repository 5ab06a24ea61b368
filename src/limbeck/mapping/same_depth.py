"""Links by relative depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from limbeck.links import FeatureSpec, LayerMap, Link, Scores
from limbeck.mapping.family import Mapper
from limbeck.mapping.trunk import landmarks, refuse_unless_positive, spread, trunks


@dataclass(frozen=True)
class SameDepth(Mapper):
    r"""Link what lies at the same relative depth, aligned at the end; the last link joins the head inputs.

    The uniform map of "Patient Knowledge Distillation" (Sun et al., EMNLP 2019), https://arxiv.org/abs/1908.09355, for
    any two networks. Of $S$ student and $T$ teacher sites, $K = \min(\text{links} - 1, S, T)$ links are spread evenly:

    $$ \text{student } \lceil k S / K \rceil \;\leftarrow\; \text{teacher } \lceil k T / K \rceil,
       \qquad k = 1 \dots K $$

    so that no site stands in two links and the last sites of both are linked. The sites are the ends of the stages of a
    network with at least three, else its blocks. Where a network has no head input, all links are among the rest.

    Args:
        links: how many links at most, the head's included; default 4: our choice.

    Raises:
        RecipeError: if ``links`` is below 1, or a network has no site.

    Example:
        >>> blocks = [FeatureSpec(f"block{i}", "BNC", 64, 16) for i in range(12)]
        >>> stages = [FeatureSpec(f"stage{i}", "BCHW", 32, 16, (4, 4), role="stage") for i in range(4)]
        >>> [(link.student.site, link.teacher.site) for link in SameDepth(links=3)(stages, blocks)]
        [('stage1', 'block3'), ('stage2', 'block7'), ('stage3', 'block11')]
    """

    links: int = 4
    by_depth: ClassVar[bool] = True

    def __post_init__(self) -> None:
        refuse_unless_positive("SameDepth", "links", self.links)

    def __call__(
        self, student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec], _scores: Scores | None = None, /
    ) -> LayerMap:
        """The links, in order of the student's sites."""
        inner = trunks(student, teacher)
        mine, theirs = landmarks(inner.student), landmarks(inner.teacher)
        count = min(self.links - len(inner.head), len(mine), len(theirs))
        return (*map(Link, spread(mine, count), spread(theirs, count)), *inner.head)
