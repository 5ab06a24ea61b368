"""Hierarchical context loss."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import both_valid, mean_by_sample, zeroed
from limbeck._math.resize import resize
from limbeck.context import Heads
from limbeck.features import Feature
from limbeck.links import Link, Match
from limbeck.losses.family import FeatureLoss
from limbeck.losses.sizes import require_grid


class HCL(FeatureLoss):
    r"""Predict the teacher's values at every position, and their averages over ever larger regions.

    The hierarchical context loss of "Distilling Knowledge via Knowledge Review" (Chen et al., CVPR 2021),
    https://arxiv.org/abs/2104.09044:

    $$ \frac{1}{\sum_k 2^{-k}} \sum_{k=0}^{K} 2^{-k} \, \mathrm{MSE}\bigl(\mathrm{pool}_{l_k}(s),
       \mathrm{pool}_{l_k}(t)\bigr) $$

    where $\mathrm{pool}_{l_0}$ changes nothing and the others average to a grid of $l = 4, 2, 1$ along each axis,
    left out where the grid is not larger than that. Prefix tokens do not take part; averages are over positions that
    are valid on both sides.

    Differs from the paper: an axis that is shorter than $l$ keeps its length, and a level is left out if it would
    change nothing; on a square grid that is the paper's rule.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``, on one grid.

    Args:
        levels: the sides $l$; default: official code.

    Raises:
        ShapeMismatch: if channels or grid differ.

    Example:
        >>> import torch
        >>> student = Feature(torch.tensor([[[1.0], [-1.0]]]), grid=(2,))
        >>> teacher = Feature(torch.zeros(1, 2, 1), grid=(2,))
        >>> HCL()(student, teacher)   # 1 by position, 0 on average: (1 + 0 / 2) / (1 + 1 / 2)
        tensor(0.6667)
    """

    needs: ClassVar[Match] = Match.CHANNELS | Match.GRID

    def __init__(self, *, levels: tuple[int, ...] = (4, 2, 1)) -> None:
        super().__init__()
        self.levels = tuple(levels)

    @classmethod
    def for_link(cls, link: Link, _heads: Heads, /, *, levels: tuple[int, ...] = (4, 2, 1)) -> HCL:
        """Build one, if the link has a grid."""
        require_grid(link, cls.__name__)
        return cls(levels=levels)

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The mean over the samples that have valid positions."""
        values, valid = self.compare_samples(student, teacher), both_valid(student.body().mask, teacher.body().mask)
        return values.mean() if valid is None else values.sum() / valid.any(1).sum().clamp_min(1)

    def compare_samples(self, student: Feature, teacher: Feature, /) -> Float[Tensor, " B"]:
        """The formula for each sample."""
        student, teacher = student.body(), teacher.body()
        valid = both_valid(student.mask, teacher.mask)
        difference = Feature(zeroed(student.x, valid) - zeroed(teacher.x, valid), student.grid, mask=valid)
        total, weight, sum_of_weights = _squared(difference), 1.0, 1.0
        for smaller in self._grids(student.grid or ()):
            weight /= 2
            # Averaging is linear: the average of the difference is the difference of the averages.
            total = total + weight * _squared(resize(difference, smaller))
            sum_of_weights += weight
        return total / sum_of_weights

    def _grids(self, grid: tuple[int, ...]) -> list[tuple[int, ...]]:
        pooled = [tuple(min(level, side) for side in grid) for level in self.levels]
        return [each for each in pooled if each != grid]

    def extra_repr(self) -> str:
        """Options."""
        return f"levels={self.levels}"


def _squared(difference: Feature) -> Float[Tensor, " B"]:
    return mean_by_sample(difference.x.square().mean(-1), difference.mask)
