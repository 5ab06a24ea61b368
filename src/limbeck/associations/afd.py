"""Attention of each teacher site over the student's sites."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.associations.attending import Attending, sizes
from limbeck.associations.family import Compared
from limbeck.associations.reading import read_sites
from limbeck.associations.shares import shares_within
from limbeck.links import Link


class AFD(Attending):
    r"""Each teacher site is divided among the student's sites, sample by sample, as is learnt.

    From "Show, Attend and Distill: Knowledge Distillation via Attention-based Feature Matching" (Ji et al., AAAI 2021),
    https://arxiv.org/abs/2102.02973:

    $$ \frac1B \sum_b \sum_{t,s} \alpha_{bts} \, \ell_{bts}, \qquad \alpha_{bts} = \operatorname{softmax}_s
       \frac{q_{bt}^\top W_t k_{bs} + p_t^\top p_s}{\sqrt{d}} $$

    with queries $q$ and keys $k$ from the pooled features, a matrix $W_t$ and a learnt vector $p_t$ for each teacher
    site, $p_s$ for each student site. The published loss on a link is :class:`~limbeck.losses.AttentionTransfer`.

    Differs from the paper: queries and keys are normalised over their channels (layer norm) instead of over the batch,
    so that a batch of any size works.

    Shapes: ``[B, N, C]`` of every site; any loss with a value for each sample.

    Args:
        pairs: the sites of each link.
        student_channels: of each student site.
        teacher_channels: of each teacher site.
        width: $d$; default 128: official code.

    Raises:
        RecipeError: if there is no link.

    Example:
        >>> from limbeck.features import Feature
        >>> from limbeck.links import FeatureSpec
        >>> specs = [FeatureSpec(name, "BC", 8, depth=depth) for name, depth in (("a", 0.5), ("b", 1.0))]
        >>> association = AFD.for_links([Link(mine, theirs) for mine in specs for theirs in specs])
        >>> features = [Feature(torch.randn(3, 1, 8)) for _ in range(4)]
        >>> weights = association.weigh(Compared(torch.ones(3, 4), range(4), features, features))
        >>> weights[:, [0, 2]].sum(1).detach().allclose(torch.ones(3))  # both students of the first teacher site
        True
    """

    def __init__(
        self,
        pairs: Sequence[tuple[int, int]],
        student_channels: Sequence[int],
        teacher_channels: Sequence[int],
        /,
        *,
        width: int = 128,
    ) -> None:
        super().__init__(pairs, student_channels, teacher_channels, width=width)
        self.keys = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, width), nn.LayerNorm(width), nn.ReLU()) for channels in student_channels
        )
        self.queries = nn.ModuleList(
            nn.Sequential(nn.Linear(channels, width), nn.LayerNorm(width)) for channels in teacher_channels
        )
        self.bilinear = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in teacher_channels)
        self.places = nn.ParameterList(
            [nn.Parameter(torch.randn(len(each), width) / math.sqrt(width)) for each in self.channels]
        )

    @classmethod
    def for_links(cls, links: Sequence[Link], /, *, width: int = 128) -> AFD:
        """Build one with the sizes of the links."""
        return cls(*sizes(links), width=width)

    def weigh(self, compared: Compared, /) -> Float[Tensor, "R A"]:
        """The formula's attention."""
        rows, columns = self.sites(compared)
        keys = read_sites(self.keys, rows, compared.students)
        queries = read_sites(self.queries, columns, compared.teachers)
        scores = torch.stack(
            [
                (queries[theirs] * self.bilinear[theirs](keys[mine])).sum(-1)
                + self.places[1][theirs] @ self.places[0][mine]
                for mine, theirs in zip(rows, columns, strict=True)
            ],
            1,
        )
        return shares_within(scores / math.sqrt(self.width), rows, columns, dim=1)
