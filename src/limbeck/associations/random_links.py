"""Links drawn anew in every step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.associations.family import Association, Compared, numbered
from limbeck.errors import RecipeError
from limbeck.links import Link


class RandomLinks(Association):
    r"""In every step some of the student's sites learn from as many of the teacher's, drawn at random, in order.

    From "RAIL-KD: RAndom Intermediate Layer Mapping for Knowledge Distillation" (Haidar et al., NAACL 2022),
    https://arxiv.org/abs/2109.10164:

    $$ \frac1k \sum_{m=1}^{k} \ell_{i_m j_m}, \qquad i_1 < \dots < i_k, \quad j_1 < \dots < j_k $$

    with $j$ (and $i$, where $k$ is less than the number of student sites) drawn without replacement. Links that were
    not drawn are not computed, so that a step costs $k$ links however many sites there are. In evaluation the draw is
    the middle one, evenly spread.

    Differs from the paper: drawn in every step instead of every epoch, as its text allows; the number of links is free.

    Args:
        pairs: the sites of each link; all pairs that a draw can give must be among them.
        draw: $k$ at most; default ``None``: as many as the smaller network has sites.

    Raises:
        RecipeError: if there is no link, ``draw`` is below 1, or the links are not all pairs of their sites.

    Example:
        >>> association = RandomLinks([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)])
        >>> drawn = [association.pairs[link] for link in association.active()]
        >>> [mine for mine, _ in drawn], drawn[0][1] < drawn[1][1]
        ([0, 1], True)
    """

    leaves_links_out = True

    def __init__(self, pairs: Sequence[tuple[int, int]], /, *, draw: int | None = None) -> None:
        super().__init__(pairs)
        if draw is not None and draw < 1:
            raise RecipeError(f"RandomLinks needs draw of at least 1. Found {draw}.")
        if len(set(self.pairs)) != self.students * self.teachers:
            raise RecipeError(
                f"RandomLinks draws among all pairs of {self.students} student and {self.teachers} teacher sites. "
                f"Found {len(set(self.pairs))} links. Use mapping: AllPairs."
            )
        self.draw = draw
        self._number = {pair: number for number, pair in enumerate(self.pairs)}

    @classmethod
    def for_links(cls, links: Sequence[Link], /, *, draw: int | None = None) -> RandomLinks:
        """Build one for the links, of which ``draw`` are drawn at most."""
        return cls(numbered(links), draw=draw)

    def active(self) -> Sequence[int]:
        """The draw."""
        count = min(self.students, self.teachers, self.draw or self.students)
        drawn = [self._drawn(sites, count) for sites in (self.students, self.teachers)]
        return [self._number[pair] for pair in zip(*drawn, strict=True)]

    def _drawn(self, sites: int, count: int) -> list[int]:
        if self.training:
            return sorted(torch.randperm(sites, device="cpu")[:count].tolist())
        return [-(-place * sites // count) - 1 for place in range(1, count + 1)]

    def weigh(self, compared: Compared, /) -> Float[Tensor, "R A"]:
        """All alike."""
        return torch.full_like(compared.costs, 1.0 / len(compared.links))

    def extra_repr(self) -> str:
        """Links and options."""
        return f"{self.pairs}, draw={self.draw}"
