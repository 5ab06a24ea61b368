"""Centred kernel alignment over batches."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck._math.gram import centred, flattened, u_centred_rows
from limbeck._math.pieces import rows_of_square
from limbeck.errors import DataError
from limbeck.features import Features
from limbeck.similarity.family import Similarity

_SMALLEST_BATCH = 4


class MinibatchCKA(Similarity):
    r"""How alike two sites arrange the same samples, up to rotation and scale; unbiased for every batch size.

    From "Do Wide and Deep Networks Learn the Same Things?" (Nguyen et al., ICLR 2021),
    https://arxiv.org/abs/2010.15327, eq. 2 and 3, with linear kernels:

    $$ \frac{\sum_i \mathrm{HSIC}_1(K_i, L_i)}{\sqrt{\sum_i \mathrm{HSIC}_1(K_i, K_i)} \,
       \sqrt{\sum_i \mathrm{HSIC}_1(L_i, L_i)}}, \qquad K_i = A_i A_i^\top, \; L_i = B_i B_i^\top $$

    over batches $i$, with $A_i$ the ``[n, N C]`` matrix of all values of each sample, zero at positions that are not
    valid. The three sums are divided once, at the end: the mean of biased values of single batches is about 0.9 for
    features that have nothing to do with each other. 1 for features that are equal up to rotation and scale, about 0
    for unrelated ones (below 0 by chance), 0 for a site that is constant.

    A batch of fewer than 4 samples, for which HSIC$_1$ is not defined, is left out.

    Shapes: features ``[B, N, C]``; the result ``[S, T]``.

    Raises:
        DataError: if no batch had at least 4 samples, or the sites change between batches.

    Example:
        >>> from limbeck.features import Feature
        >>> x = torch.randn(8, 1, 5)
        >>> similarity = MinibatchCKA()
        >>> similarity.update({"fc1": Feature(x)}, {"layer1": Feature(3 * x), "layer2": Feature(torch.ones(8, 1, 2))})
        >>> similarity.compute().round(decimals=3)
        tensor([[1., 0.]])
    """

    def __init__(self) -> None:
        self._sites: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._between = _sums(0, 0)
        self._student, self._teacher = _sums(0), _sums(0)

    @torch.no_grad()
    def update(self, student: Features, teacher: Features, /) -> None:
        """Add the three sums of one batch."""
        self._start(student, teacher)
        if len(next(iter(student.values())).x) < _SMALLEST_BATCH:
            return
        batch = len(next(iter(student.values())).x)
        scale = 1 / (batch * (batch - 3))
        for rows in rows_of_square(batch):
            mine, theirs = _structures(student, rows), _structures(teacher, rows)
            self._between += mine @ theirs.T * scale
            self._student += mine.square().sum(1) * scale
            self._teacher += theirs.square().sum(1) * scale

    def compute(self) -> Float[Tensor, "S T"]:
        """Every student site against every teacher site."""
        if not (self._student.any() or self._teacher.any()):
            raise DataError(
                f"MinibatchCKA needs batches of at least {_SMALLEST_BATCH} samples that are not all alike. Found none. "
                "Give larger batches."
            )
        scale = self._student.sqrt().unsqueeze(1) * self._teacher.sqrt().unsqueeze(0)
        return torch.where(scale > 0, self._between / torch.where(scale > 0, scale, 1.0), 0.0).float()

    def _start(self, student: Features, teacher: Features) -> None:
        sites = tuple(student), tuple(teacher)
        if self._sites is None:
            self._sites = sites
            self._between = _sums(len(student), len(teacher))
            self._student, self._teacher = _sums(len(student)), _sums(len(teacher))
        if sites != self._sites:
            raise DataError(f"MinibatchCKA needs the same sites in every batch. Found {self._sites}, then {sites}.")


def _sums(*sizes: int) -> Tensor:
    return torch.zeros(sizes, dtype=torch.float64, device="cpu")


def _structures(features: Features, rows: slice) -> Float[Tensor, "S M"]:
    """These rows of each site's Gram matrix, centred; in float64 on the CPU, where the sums over batches are kept."""
    grams = [u_centred_rows(centred(flattened(each.full_precision())), rows).flatten() for each in features.values()]
    return torch.stack(grams)
