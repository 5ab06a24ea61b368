"""Links by measured similarity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from limbeck.errors import RecipeError
from limbeck.links import FeatureSpec, LayerMap, Link, Scores
from limbeck.mapping.best_path import best_path
from limbeck.mapping.family import Mapper
from limbeck.mapping.trunk import refuse_unless_positive, trunks


@dataclass(frozen=True)
class BestMatch(Mapper):
    r"""Link the sites that are most alike, in order; the last link joins the head inputs.

    Of all maps that preserve order, the one with the largest sum of similarities, found by dynamic programming over

    $$ D_k[i, j] = A_{ij} + \max_{i' < i, \; j' < j} D_{k-1}[i', j'] $$

    A student site stands in one link at most. So does a teacher site, unless there are more links than teacher sites:
    then every teacher site is used, some for several neighbouring links ($j' \in \{j - 1, j\}$).

    Our choice, with the similarities of :mod:`limbeck.similarity`. Those of an untrained student mostly reflect its
    inputs, and pick early teacher layers; see https://arxiv.org/abs/2502.04499 on how little the choice matters.

    Args:
        links: how many links at most, the head's included; default 4: our choice.

    Raises:
        RecipeError: if there are no scores, or they do not fit the sites, or are not finite; if ``links`` is below 1.

    Example:
        >>> student, teacher = ([FeatureSpec(name, "BC", 8) for name in names] for names in ("ab", "ABC"))
        >>> scores = torch.tensor([[0.1, 0.9, 0.0], [0.8, 0.7, 0.6]])
        >>> [(link.student.site, link.teacher.site) for link in BestMatch()(student, teacher, scores)]
        [('a', 'B'), ('b', 'C')]
    """

    needs_scores: ClassVar[bool] = True

    links: int = 4

    def __post_init__(self) -> None:
        refuse_unless_positive("BestMatch", "links", self.links)

    def __call__(
        self, student: Sequence[FeatureSpec], teacher: Sequence[FeatureSpec], scores: Scores | None = None, /
    ) -> LayerMap:
        """The links, in order of the student's sites."""
        inner = trunks(student, teacher)
        table = _checked(scores, len(student), len(teacher))
        rows = [student.index(each) for each in inner.student]
        columns = [teacher.index(each) for each in inner.teacher]
        count = min(self.links - len(inner.head), len(rows))
        if count < 1 or not columns:
            return inner.head
        path = best_path([[table[i][j] for j in columns] for i in rows], count)
        return (*(Link(inner.student[i], inner.teacher[j]) for i, j in path), *inner.head)


def _checked(scores: Scores | None, student: int, teacher: int) -> list[list[float]]:
    if scores is None:
        raise RecipeError(
            "BestMatch needs a similarity of every student site to every teacher site. Found none. Give "
            "scores, as limbeck.similarity.MinibatchCKA measures them; limbeck.plan measures them by itself."
        )
    if scores.shape != (student, teacher) or not torch.isfinite(scores).all():
        raise RecipeError(
            f"BestMatch needs finite scores of shape ({student}, {teacher}): student sites by teacher sites. Found "
            f"{tuple(scores.shape)}, {int((~torch.isfinite(scores)).sum())} of them not finite. Measure them with "
            "limbeck.similarity.MinibatchCKA on all sites of both models, and check the weights of both."
        )
    return scores.tolist()
