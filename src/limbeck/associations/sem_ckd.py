"""Attention of each student site over the teacher's sites."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.associations.attending import Attending, sizes
from limbeck.associations.family import Compared
from limbeck.associations.reading import read_sites
from limbeck.associations.shares import shares_within
from limbeck.links import Link


class SemCKD(Attending):
    r"""Each student site divides its attention among the teacher's sites, sample by sample, and learns how.

    From "Cross-Layer Distillation with Semantic Calibration" (Chen et al., AAAI 2021), https://arxiv.org/abs/2012.03236:

    $$ \frac{1}{B\,S} \sum_b \sum_{i,j} \alpha_{bij} \, \ell_{bij}, \qquad
       \alpha_{bij} = \operatorname{softmax}_j \bigl(\tau^{-1} \hat q_{bi} \cdot \hat k_{bj}\bigr) $$

    with $\ell_{bij}$ what the loss says of sample $b$ on the link of student site $i$ with teacher site $j$, and
    $\hat q$, $\hat k$ the outputs of length 1 of a two-layer perceptron for each site.

    Differs from the paper: the perceptrons read what the head reads of a site (its pooled feature, standardised over
    its channels) instead of the sample's row of the batch's Gram matrix, so that they do not depend on the batch size;
    a batch of any size works, the last one included.

    Shapes: ``[B, N, C]`` of every site; any loss with a value for each sample.

    Args:
        pairs: the sites of each link.
        student_channels: of each student site.
        teacher_channels: of each teacher site.
        width: length of queries and keys; default 128: our choice, about that of the official code at its batch size.
        temperature: $\tau$; default 1: official code.

    Raises:
        RecipeError: if there is no link.

    Example:
        >>> from limbeck.features import Feature
        >>> from limbeck.links import FeatureSpec
        >>> specs = [FeatureSpec(name, "BC", 8, depth=depth) for name, depth in (("a", 0.5), ("b", 1.0))]
        >>> association = SemCKD.for_links([Link(mine, theirs) for mine in specs for theirs in specs])
        >>> features = [Feature(torch.randn(3, 1, 8)) for _ in range(4)]
        >>> weights = association.weigh(Compared(torch.ones(3, 4), range(4), features, features))
        >>> weights.sum(1).detach().allclose(torch.ones(3))
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
        temperature: float = 1.0,
    ) -> None:
        super().__init__(pairs, student_channels, teacher_channels, width=width)
        self.temperature = temperature
        self.queries = nn.ModuleList(_perceptron(channels, width) for channels in student_channels)
        self.keys = nn.ModuleList(_perceptron(channels, width) for channels in teacher_channels)

    @classmethod
    def for_links(cls, links: Sequence[Link], /, *, width: int = 128, temperature: float = 1.0) -> SemCKD:
        """Build one with the sizes of the links."""
        return cls(*sizes(links), width=width, temperature=temperature)

    def weigh(self, compared: Compared, /) -> Float[Tensor, "R A"]:
        """The formula's attention, over the number of student sites."""
        rows, columns = self.sites(compared)
        queries = read_sites(self.queries, rows, compared.students)
        keys = read_sites(self.keys, columns, compared.teachers)
        scores = torch.stack(
            [F.cosine_similarity(queries[mine], keys[theirs]) for mine, theirs in zip(rows, columns, strict=True)], 1
        )
        return shares_within(scores / self.temperature, rows, columns, dim=2) / len(set(rows))

    def extra_repr(self) -> str:
        """Sizes and options."""
        return f"{super().extra_repr()}, temperature={self.temperature}"


def _perceptron(channels: int, width: int) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(channels, elementwise_affine=False),
        nn.Linear(channels, 2 * width),
        nn.ReLU(),
        nn.Linear(2 * width, width),
    )
