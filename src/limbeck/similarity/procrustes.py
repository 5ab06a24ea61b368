"""How alike two sites are after the best rotation."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import RecipeError
from limbeck.features import Features
from limbeck.similarity.family import Similarity
from limbeck.similarity.pooled_features import PooledFeatures

_RANK = 1e-6


class Procrustes(Similarity):
    r"""How much of a teacher site agrees with a student site once that is rotated to fit, on samples not used for it.

    From "Grounding Representation Similarity with Statistical Testing" (Ding et al., NeurIPS 2021),
    https://arxiv.org/abs/2108.01661: with both sides centred and of length 1, their distance is
    $d = \min_R \lVert X R - Y \rVert_F^2 = 2 - 2 \lVert X^\top Y \rVert_*$, and $1 - d / 2$ is the nuclear norm. Here

    $$ \frac{\sum_f \langle X_f R_{-f}, \, Y_f \rangle}{\sqrt{\sum_f \lVert X_f \rVert_F^2} \,
       \sqrt{\sum_f \lVert Y_f \rVert_F^2}}, \qquad R_{-f} = U V^\top, \quad X_{-f}^\top Y_{-f} = U \Sigma V^\top
       \text{ on all folds but } f $$

    with pooled features, centred by the mean of the samples that $R$ is fitted on. 1 for features that are equal up to
    rotation and scale, about 0 for unrelated ones (below 0 by chance), 0 for a site that is constant.

    Differs from the paper: held out, because the nuclear norm grows with the width: it is about 0.5 for 60 unrelated
    channels on 200 samples, where this is about 0.

    Pooled features of all samples are kept on the CPU in float32 until the end; every pair of sites costs one singular
    value decomposition for each fold, of a matrix with as many rows and columns as samples or channels, if those are
    fewer.

    Shapes: features ``[B, N, C]``; the result ``[S, T]``.

    Args:
        folds: how many parts; sample ``i`` belongs to part ``i mod folds``; default 5: our choice.

    Raises:
        RecipeError: if there are fewer than 2 folds.
        DataError: if there are fewer than two samples for each fold, or the sites change between batches.

    Example:
        >>> from limbeck.features import Feature
        >>> x = torch.randn(100, 1, 3)
        >>> turn, _ = torch.linalg.qr(torch.randn(3, 3))
        >>> similarity = Procrustes()
        >>> similarity.update({"fc1": Feature(x)}, {"layer1": Feature(7 * x @ turn + 1)})
        >>> similarity.compute().round(decimals=3)
        tensor([[1.]])
    """

    def __init__(self, *, folds: int = 5) -> None:
        if folds < 2:
            raise RecipeError(f"Procrustes needs at least 2 folds. Found {folds}.")
        self.folds = folds
        self._kept = PooledFeatures("Procrustes")

    def update(self, student: Features, teacher: Features, /) -> None:
        """Keep the pooled features of one batch."""
        self._kept.add(student, teacher)

    def compute(self) -> Float[Tensor, "S T"]:
        """How well each student site, rotated, agrees with each teacher site."""
        student, teacher = self._kept.rows(fewest=2 * self.folds, purpose=f"{self.folds} folds")
        agreed = torch.zeros(len(student), len(teacher), dtype=torch.float64, device="cpu")
        lengths = [torch.zeros(len(side), dtype=torch.float64, device="cpu") for side in (student, teacher)]
        for part in range(self.folds):
            mine, theirs = ([_split(each.double(), part, self.folds) for each in side] for side in (student, teacher))
            for length, side in zip(lengths, (mine, theirs), strict=True):
                length += torch.stack([each.whole for each in side])
            agreed += torch.stack([torch.stack([_agreement(x, y) for y in theirs]) for x in mine])
        scale = lengths[0].sqrt().unsqueeze(1) * lengths[1].sqrt().unsqueeze(0)
        return torch.where(scale > 0, agreed / torch.where(scale > 0, scale, 1.0), 0.0).float()


class _Split(NamedTuple):
    """One site, in the axes along which the fitted samples vary: what is fitted, what is held out, its full length."""

    fitted: Float[Tensor, "M R"]
    held: Float[Tensor, "H R"]
    whole: Float[Tensor, ""]


def _split(x: Float[Tensor, "N C"], part: int, folds: int) -> _Split:
    out = torch.arange(len(x), device=x.device) % folds == part
    centre = x[~out].mean(0)
    fitted, held = x[~out] - centre, x[out] - centre
    _, sizes, axes = torch.linalg.svd(fitted, full_matrices=False)
    # A rotation is fitted along axes that vary; along others it would be arbitrary.
    axes = axes[sizes > _RANK * sizes.max()].T
    return _Split(fitted @ axes, held @ axes, held.square().sum())


def _agreement(student: _Split, teacher: _Split) -> Float[Tensor, ""]:
    u, _, v = torch.linalg.svd(student.fitted.T @ teacher.fitted, full_matrices=False)
    return ((student.held @ u) * (teacher.held @ v.T)).sum()
