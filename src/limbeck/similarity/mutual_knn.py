"""How many neighbours samples have in common."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from limbeck.errors import RecipeError
from limbeck.features import Features
from limbeck.similarity.family import Similarity
from limbeck.similarity.pooled_features import PooledFeatures


class MutualKNN(Similarity):
    r"""The part of a sample's nearest neighbours that is the same at two sites.

    From "The Platonic Representation Hypothesis" (Huh et al., ICML 2024), https://arxiv.org/abs/2405.07987:

    $$ \frac{1}{n k} \sum_{i=1}^n \lvert \mathcal N_k(x_i) \cap \mathcal N_k(y_i) \rvert $$

    with $\mathcal N_k$ the $k$ other samples of largest cosine, on pooled features. It sees what is near and not how the
    whole is arranged. 1 if all neighbours agree; unrelated sites have $k / (n - 1)$ in common by chance, so that values
    of other numbers of samples do not compare. A site that is constant is alike to nothing.

    Pooled features of all samples are kept on the CPU in float32 until the end.

    Shapes: features ``[B, N, C]``; the result ``[S, T]``.

    Args:
        neighbours: $k$; default 10: paper.

    Raises:
        RecipeError: if there are no neighbours to compare.
        DataError: if there are fewer than $2 k + 1$ samples (chance alone would be above one half), or the sites change
            between batches.

    Example:
        >>> from limbeck.features import Feature
        >>> x = torch.randn(100, 1, 3)
        >>> similarity = MutualKNN()
        >>> similarity.update({"fc1": Feature(x)}, {"layer1": Feature(5 * x)})
        >>> similarity.compute()
        tensor([[1.]])
    """

    def __init__(self, *, neighbours: int = 10) -> None:
        if neighbours < 1:
            raise RecipeError(f"MutualKNN needs at least 1 neighbour. Found {neighbours}.")
        self.neighbours = neighbours
        self._kept = PooledFeatures("MutualKNN")

    def update(self, student: Features, teacher: Features, /) -> None:
        """Keep the pooled features of one batch."""
        self._kept.add(student, teacher)

    def compute(self) -> Float[Tensor, "S T"]:
        """What part of their neighbours each student site and each teacher site share."""
        student, teacher = self._kept.rows(fewest=2 * self.neighbours + 1)
        theirs = [self._nearest(each) for each in teacher]
        return torch.stack([torch.stack([_shared(self._nearest(x), y) for y in theirs]) for x in student])

    def _nearest(self, x: Float[Tensor, "M C"]) -> Int[Tensor, "M K"]:
        """The nearest samples of each; of a constant site none, which is written as -1."""
        if torch.equal(x, x[:1].expand_as(x)):
            return torch.full((len(x), self.neighbours), -1, device=x.device)
        unit = F.normalize(x.double(), dim=1)
        cosine = (unit @ unit.T).fill_diagonal_(-torch.inf)
        return cosine.topk(self.neighbours, dim=1).indices


def _shared(first: Int[Tensor, "M K"], second: Int[Tensor, "M K"]) -> Float[Tensor, ""]:
    same = (first.unsqueeze(2) == second.unsqueeze(1)) & (first.unsqueeze(2) >= 0)
    return same.any(2).float().mean()
