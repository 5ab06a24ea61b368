"""How many neighbours samples have in common."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.pieces import rows_of_square
from limbeck.errors import RecipeError
from limbeck.features import Features
from limbeck.similarity.family import Similarity
from limbeck.similarity.pooled_features import PooledFeatures


class MutualKNN(Similarity):
    r"""The part of a sample's nearest neighbours that is the same at two sites.

    From "The Platonic Representation Hypothesis" (Huh et al., ICML 2024), https://arxiv.org/abs/2405.07987:

    $$ \frac{1}{n k} \sum_{i=1}^n \lvert \mathcal N_k(x_i) \cap \mathcal N_k(y_i) \rvert $$

    with $\mathcal N_k$ the $k$ other samples of largest cosine, on pooled features. It sees what is near and not how
    the whole is arranged. 1 if all neighbours agree; unrelated sites have $k / (n - 1)$ in common by chance, so that
    values of other numbers of samples do not compare. A site that is constant is alike to nothing.

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
        student, teacher = self._kept.rows(fewest=2 * self.neighbours + 1, purpose=f"{self.neighbours} neighbours")
        constant = [torch.stack([(x == x[:1]).all() for x in side]) for side in (student, teacher)]
        sides = [[F.normalize(each.double(), dim=1) for each in side] for side in (student, teacher)]
        samples = len(student[0])
        shared = torch.zeros(len(student), len(teacher), dtype=torch.float32, device="cpu")
        for rows in rows_of_square(samples):
            mine, theirs = (torch.stack([self._neighbours(each, rows) for each in side]) for side in sides)
            shared += mine @ theirs.T
        alike_to_nothing = constant[0].unsqueeze(1) | constant[1]
        return (shared / (samples * self.neighbours)).masked_fill(alike_to_nothing, 0.0)

    def _neighbours(self, unit: Float[Tensor, "M C"], rows: slice) -> Float[Tensor, " R"]:
        """For each of these rows and each sample whether it is one of the nearest, row by row."""
        cosine = unit[rows] @ unit.T
        cosine.diagonal(rows.start).fill_(-torch.inf)
        nearest = cosine.topk(self.neighbours, dim=1).indices
        return cosine.new_zeros(cosine.shape, dtype=torch.float32).scatter_(1, nearest, 1.0).flatten()
