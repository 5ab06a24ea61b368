"""Links by resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.links import FeatureSpec, LayerMap, Link, Scores
from limbeck.mapping.best_path import best_path
from limbeck.mapping.family import Mapper
from limbeck.mapping.trunk import refuse_unless_positive, trunks


@dataclass(frozen=True)
class SameGrid(Mapper):
    r"""Link the last sites of equal or nearest resolution; the last link joins the head inputs.

    The map of "FitNets" and its successors among convolutional networks, for instance "Distilling Knowledge via
    Knowledge Review" (Chen et al., CVPR 2021), https://arxiv.org/abs/2104.09044: stage by stage. Of every run of sites
    with one grid the last one counts, and of all maps that preserve order the one with the smallest

    $$ \sum_{\text{links}} \bigl| \log (N_s / N_t) \bigr| $$

    is taken, the deepest among equals. A network with one resolution throughout (a plain vision transformer) has one
    such site, so that one link beside the head's is all there can be; :class:`~limbeck.mapping.SameDepth` gives more.

    Args:
        links: how many links at most, the head's included; default 4: our choice.

    Raises:
        RecipeError: if ``links`` is below 1, or a network has no site.

    Example:
        >>> def net(*sides: int) -> list[FeatureSpec]:
        ...     return [FeatureSpec(f"at{side}", "BCHW", 8, side**2, (side, side)) for side in sides]
        >>> [(link.student.site, link.teacher.site) for link in SameGrid()(net(16, 8), net(32, 16, 8, 4))]
        [('at16', 'at16'), ('at8', 'at8')]
    """

    links: int = 4

    def __post_init__(self) -> None:
        refuse_unless_positive("SameGrid", "links", self.links)

    def __call__(
        self, student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec], _scores: Scores | None = None, /
    ) -> LayerMap:
        """The links, in order of the student's sites."""
        inner = trunks(student, teacher)
        mine, theirs = _last_of_each_grid(inner.student), _last_of_each_grid(inner.teacher)
        count = min(self.links - len(inner.head), len(mine), len(theirs))
        if count < 1:
            return inner.head
        apart = [[-abs(math.log(_size(a) / _size(b))) for b in theirs] for a in mine]
        return (*(Link(mine[i], theirs[j]) for i, j in best_path(apart, count)), *inner.head)


def _last_of_each_grid(sites: Sequence[FeatureSpec]) -> list[FeatureSpec]:
    following = [*sites[1:], None]
    return [site for site, after in zip(sites, following, strict=True) if after is None or after.grid != site.grid]


def _size(spec: FeatureSpec) -> int:
    return spec.positions - spec.prefix if spec.grid is None else math.prod(spec.grid)
