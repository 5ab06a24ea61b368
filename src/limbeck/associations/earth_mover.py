"""The cheapest flow from the student's sites to the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.associations.family import Association, Compared, numbered
from limbeck.errors import RecipeError
from limbeck.links import Link


class EarthMover(Association):
    r"""Every student site gives, every teacher site takes an equal share, along the links where they differ least.

    From "BERT-EMD: Many-to-Many Layer Mapping for BERT Compression with Earth Mover's Distance" (Li et al.,
    EMNLP 2020), https://arxiv.org/abs/2010.06133, solved as in "Sinkhorn Distances" (Cuturi 2013), https://arxiv.org/abs/1306.0895:

    $$ \sum_{i,j} f_{ij} \, \ell_{ij}, \qquad f = \arg\min_{f \ge 0} \sum_{i,j} f_{ij} \, \ell_{ij}
       - \epsilon \, \bar\ell \, H(f) \quad \text{with} \quad \textstyle\sum_j f_{ij} = \frac1S, \;
       \sum_i f_{ij} = \frac1T $$

    with $H$ the entropy. The flow is a constant for the gradient. No teacher site can be left out, and none can take
    all, which a learnt softmax allows.

    Differs from the paper: the entropic flow on the device instead of an exact one on the CPU (as $\epsilon \to 0$ they
    agree), and equal masses that stay equal; the paper moves them after every step, by a rule that its code does not
    follow.

    Args:
        pairs: the sites of each link.
        epsilon: $\epsilon$, as a share of the mean cost $\bar\ell$; default 0.05: our choice.
        iterations: of Sinkhorn's two normalisations; default 50: our choice.

    Raises:
        RecipeError: if there is no link, or an option is not positive.

    Example:
        >>> association = EarthMover([(0, 0), (0, 1), (1, 0), (1, 1)])
        >>> costs = torch.tensor([[0.1, 1.0, 1.0, 0.1]])
        >>> association.weigh(Compared(costs, range(4))).round(decimals=2)  # each to its own
        tensor([[0.5000, 0.0000, 0.0000, 0.5000]])
    """

    def __init__(self, pairs: Sequence[tuple[int, int]], /, *, epsilon: float = 0.05, iterations: int = 50) -> None:
        super().__init__(pairs)
        if epsilon <= 0 or iterations < 1:
            raise RecipeError(
                f"EarthMover needs a positive epsilon and at least 1 iteration. Found {epsilon} and {iterations}."
            )
        self.epsilon, self.iterations = epsilon, iterations

    @classmethod
    def for_links(cls, links: Sequence[Link], /, *, epsilon: float = 0.05, iterations: int = 50) -> EarthMover:
        """Build one for the links."""
        return cls(numbered(links), epsilon=epsilon, iterations=iterations)

    @torch.no_grad()
    def weigh(self, compared: Compared, /) -> Float[Tensor, "R A"]:
        """The flow, the same for all samples."""
        mean = compared.costs.mean(0)
        table = mean.new_full((self.students, self.teachers), torch.inf)
        rows, columns = self.sites(compared)
        places = torch.tensor(rows, device=mean.device), torch.tensor(columns, device=mean.device)
        table[places] = mean
        scale = self.epsilon * mean.abs().mean().clamp_min(torch.finfo(mean.dtype).tiny)
        flow = _sinkhorn(-table / scale, self.iterations)
        return flow[places].unsqueeze(0).expand_as(compared.costs)

    def extra_repr(self) -> str:
        """Links and options."""
        return f"{self.pairs}, epsilon={self.epsilon}, iterations={self.iterations}"


def _sinkhorn(logits: Float[Tensor, "S T"], iterations: int) -> Float[Tensor, "S T"]:
    """A table of shares whose rows sum to 1/S and whose columns sum to 1/T, as far as its missing links allow."""
    students, teachers = logits.shape
    row, column = logits.new_tensor(1.0 / students).log(), logits.new_tensor(1.0 / teachers).log()
    mine, theirs = logits.new_zeros(students, 1), logits.new_zeros(1, teachers)
    for _ in range(iterations):
        theirs = column - (logits + mine).logsumexp(0, keepdim=True)
        mine = row - (logits + theirs).logsumexp(1, keepdim=True)
    return (logits + mine + theirs).exp()
