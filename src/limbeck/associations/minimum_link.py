"""Only the easiest link of each student site."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck.associations.family import Association, Compared, numbered
from limbeck.links import Link


class MinimumLink(Association):
    r"""Each student site learns, at each step, from the teacher site that it is nearest to.

    Our choice, as a control for the learnt associations, whose attention tends to the same link:

    $$ \frac1S \sum_i \min_j \ell_{ij} $$

    with the cost averaged over the batch. Only the chosen links have a gradient.

    Args:
        pairs: the sites of each link.

    Raises:
        RecipeError: if there is no link.

    Example:
        >>> association = MinimumLink([(0, 0), (0, 1), (1, 1)])
        >>> association(Compared(torch.tensor([[3.0, 1.0, 2.0]]), range(3)))  # (1 + 2) / 2
        tensor(1.5000)
    """

    @classmethod
    def for_links(cls, links: Sequence[Link], /) -> MinimumLink:
        """Build one for the links."""
        return cls(numbered(links))

    @torch.no_grad()
    def weigh(self, compared: Compared, /) -> Float[Tensor, "R A"]:
        """One over the number of student sites at the chosen links, 0 elsewhere."""
        mean, count = compared.costs.mean(0), len(compared.links)
        table = mean.new_full((self.students, count), torch.inf)
        rows = torch.tensor(self.sites(compared)[0], device=mean.device)
        table[rows, torch.arange(count, device=mean.device)] = mean
        chosen = F.one_hot(table.argmin(1), count).to(mean)
        # A site without an active link chose among infinities.
        chosen = torch.where(torch.isfinite(table), chosen, torch.zeros_like(chosen)).sum(0)
        return (chosen / rows.unique().numel()).expand_as(compared.costs)
