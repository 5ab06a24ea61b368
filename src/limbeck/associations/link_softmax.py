"""One learnt share for each link."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from limbeck.associations.family import Association, Compared, numbered
from limbeck.associations.shares import shares_within
from limbeck.errors import RecipeError
from limbeck.links import Link


class LinkSoftmax(Association):
    r"""Each student site divides itself among the teacher's sites by shares that are learnt, the same for all samples.

    The simplest learnt association (our choice; DARTS, Liu et al. 2019, https://arxiv.org/abs/1806.09055, relaxes a
    choice among operations so):

    $$ \frac1S \sum_{i,j} w_{ij} \, \ell_{ij} + \frac{h}{S} \sum_{i,j} w_{ij} \log w_{ij}, \qquad
       w_{ij} = \operatorname{softmax}_j(\theta_{ij}) $$

    $\theta$ starts at zero: all links alike. Gradient descent moves every share to the easiest link, not to the most
    useful one; the entropy term, $h$, keeps the shares apart from zero.

    Args:
        pairs: the sites of each link.
        entropy: $h$; default 0.01: our choice.

    Raises:
        RecipeError: if there is no link, or ``entropy`` is negative.

    Example:
        >>> association = LinkSoftmax([(0, 0), (0, 1)])
        >>> association(Compared(torch.tensor([[1.0, 3.0]]), range(2))).item()  # mean of the two, less 0.01 log 2
        1.9930685758590698
    """

    def __init__(self, pairs: Sequence[tuple[int, int]], /, *, entropy: float = 0.01) -> None:
        super().__init__(pairs)
        if entropy < 0:
            raise RecipeError(f"LinkSoftmax needs an entropy weight of at least 0. Found {entropy}.")
        self.entropy = entropy
        self.scores = nn.Parameter(torch.zeros(len(self.pairs)))

    @classmethod
    def for_links(cls, links: Sequence[Link], /, *, entropy: float = 0.01) -> LinkSoftmax:
        """Build one for the links."""
        return cls(numbered(links), entropy=entropy)

    def weigh(self, compared: Compared, /) -> Float[Tensor, "R A"]:
        """The formula's shares, over the number of student sites."""
        return (
            shares_within(self.scores.unsqueeze(0), self.rows, self.columns, dim=2)[:, list(compared.links)]
            / self.students
        )

    def forward(self, compared: Compared, /) -> Float[Tensor, ""]:
        """The formula."""
        shares = self.weigh(compared) * self.students
        mixed = (shares * compared.costs).sum(1).mean() + self.entropy * (shares * shares.clamp_min(1e-12).log()).sum()
        return mixed / self.students

    def extra_repr(self) -> str:
        """Links and options."""
        return f"{self.pairs}, entropy={self.entropy}"
