"""The contract of every mapper: which student site learns from which teacher site."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from limbeck.links import FeatureSpec, LayerMap, Scores


@dataclass(frozen=True)
class Mapper(ABC):
    """Chooses links among the sites of two networks, both in order of execution.

    Attributes:
        order_preserving: whether a later student site never learns from an earlier teacher site.
        needs_scores: whether it reads a matrix of similarities.
        names_sites: whether it names the sites itself, so that of several teachers it chooses among all sites at once.
        by_depth: whether relative depth decides which of several teacher sites it takes.
    """

    order_preserving: ClassVar[bool] = True
    needs_scores: ClassVar[bool] = False
    names_sites: ClassVar[bool] = False
    by_depth: ClassVar[bool] = False

    @abstractmethod
    def __call__(
        self, student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec], scores: Scores | None = None, /
    ) -> LayerMap:
        """The links, in order of the student's sites.

        Raises:
            RecipeError: if it needs scores and has none, or names a site that does not exist.
        """
