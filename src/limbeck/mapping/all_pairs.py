"""Every site with every other, for associations to choose among."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from limbeck.links import FeatureSpec, LayerMap, Link, Scores
from limbeck.mapping.family import Mapper
from limbeck.mapping.trunk import landmarks, refuse_unless_positive, spread, trunks


@dataclass(frozen=True)
class AllPairs(Mapper):
    r"""Link every student site with every teacher site; an association says in training which links count.

    The candidates of SemCKD (Chen et al., AAAI 2021), https://arxiv.org/abs/2012.03236. As many projectors are trained
    as there are links, so the sites are few: ends of stages, spread evenly, of each network at most ``sites``. The head
    inputs, whose link no association needs to find, are left out where both networks have other sites.

    Args:
        sites: how many sites of each network at most; default 4: our choice, as many as most vision models have stages.

    Raises:
        RecipeError: if ``sites`` is below 1, or a network has no site.

    Example:
        >>> blocks = [FeatureSpec(f"block{i}", "BNC", 64, 16) for i in range(12)]
        >>> [(link.student.site, link.teacher.site) for link in AllPairs(sites=2)(blocks[:2], blocks)]
        [('block0', 'block5'), ('block0', 'block11'), ('block1', 'block5'), ('block1', 'block11')]
    """

    order_preserving: ClassVar[bool] = False

    sites: int = 4

    def __post_init__(self) -> None:
        refuse_unless_positive("AllPairs", "sites", self.sites)

    def __call__(
        self, student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec], _scores: Scores | None = None, /
    ) -> LayerMap:
        """The links, in order of the student's sites."""
        inner = trunks(student, teacher)
        mine, theirs = (landmarks(inner.student), landmarks(inner.teacher))
        if not (mine and theirs):
            return inner.head
        return tuple(Link(each, other) for each in spread(mine, self.sites) for other in spread(theirs, self.sites))
