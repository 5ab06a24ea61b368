"""One link, between what the two heads read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from limbeck.links import FeatureSpec, LayerMap, Link, Scores
from limbeck.mapping.family import Mapper
from limbeck.mapping.trunk import trunks


@dataclass(frozen=True)
class HeadInput(Mapper):
    """Link the penultimate features only: what the heads of the two networks read.

    The map of "In Defense of Feature Mimicking for Knowledge Distillation" (Wang et al. 2020),
    https://arxiv.org/abs/2011.01424. Where not both networks have a marked head input, their last sites are linked.

    Raises:
        RecipeError: if a network has no site.

    Example:
        >>> def net(width: int) -> list[FeatureSpec]:
        ...     return [FeatureSpec("body", "BC", width), FeatureSpec("head:input", "BC", width, role="head")]
        >>> [(link.student.site, link.teacher.site) for link in HeadInput()(net(8), net(64))]
        [('head:input', 'head:input')]
    """

    def __call__(
        self, student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec], _scores: Scores | None = None, /
    ) -> LayerMap:
        """The one link."""
        return trunks(student, teacher).head or (Link(student[-1], teacher[-1]),)
