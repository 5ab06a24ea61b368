"""How alike two sites are after the best rotation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.principal import principal
from limbeck.errors import RecipeError
from limbeck.features import Features
from limbeck.similarity.family import Similarity
from limbeck.similarity.pooled_features import PooledFeatures

# Of the largest singular value: a rotation along directions that the fitted samples do not share is arbitrary.
_RANK = 1e-10


class Procrustes(Similarity):
    r"""How much of a teacher site agrees with a student site once that is rotated to fit, on samples not used for it.

    From "Grounding Representation Similarity with Statistical Testing" (Ding et al., NeurIPS 2021),
    https://arxiv.org/abs/2108.01661: with both sides centred and of length 1, their distance is
    $d = \min_R \lVert X R - Y \rVert_F^2 = 2 - 2 \lVert X^\top Y \rVert_*$, and $1 - d / 2$ is the nuclear norm. Here

    $$ \frac{\sum_f \langle X_f R_{-f}, \, Y_f \rangle}{\sqrt{\sum_f \lVert X_f \rVert_F^2} \,
       \sqrt{\sum_f \lVert Y_f \rVert_F^2}}, \qquad R_{-f} = U V^\top, \quad X_{-f}^\top Y_{-f} = U \Sigma V^\top
       \text{ on all folds but } f $$

    with pooled features along their ``axes`` principal axes of largest variance, centred by the mean of the samples
    that $R$ is fitted on. 1 for features that are equal up to rotation and scale, about 0 for unrelated ones (below 0
    by chance), 0 for a site that is constant.

    Differs from the paper: held out, because the nuclear norm grows with the width: it is about 0.5 for 60 unrelated
    channels on 200 samples, where this is about 0. Reduced to principal axes, as "SVCCA" (Raghu et al., NeurIPS 2017),
    https://arxiv.org/abs/1706.05806, does, because a pair of sites costs their number to the power of three.

    Pooled features of all samples are kept on the CPU in float32 until the end. A site costs one eigendecomposition of
    a matrix with as many rows as channels or samples, if those are fewer; a pair of sites, for each fold, one singular
    value decomposition with as many rows as axes.

    Shapes: features ``[B, N, C]``; the result ``[S, T]``.

    Args:
        folds: how many parts; sample ``i`` belongs to part ``i mod folds``; default 5: our choice.
        axes: how many principal axes of a site are compared at most; default 32: our choice, 100 x 100 sites on 1,024
            samples then take seconds.

    Raises:
        RecipeError: if there are fewer than 2 folds or no axes.
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

    def __init__(self, *, folds: int = 5, axes: int = 32) -> None:
        if folds < 2 or axes < 1:
            raise RecipeError(f"Procrustes needs at least 2 folds and 1 axis. Found folds={folds}, axes={axes}.")
        self.folds, self.axes = folds, axes
        self._kept = PooledFeatures("Procrustes")

    def update(self, student: Features, teacher: Features, /) -> None:
        """Keep the pooled features of one batch."""
        self._kept.add(student, teacher)

    def compute(self) -> Float[Tensor, "S T"]:
        """How well each student site, rotated, agrees with each teacher site."""
        student, teacher = self._kept.rows(fewest=2 * self.folds, purpose=f"{self.folds} folds")
        mine, theirs = ([principal(each, self.axes) for each in side] for side in (student, teacher))
        lengths = [torch.stack([_length(each, self.folds) for each in side]) for side in (mine, theirs)]
        axes = max(each.shape[1] for each in theirs)
        joined = torch.stack([F.pad(each, (0, axes - each.shape[1])) for each in theirs], 1)
        agreed = torch.stack([_agreement(each, joined, self.folds) for each in mine])
        scale = lengths[0].sqrt().unsqueeze(1) * lengths[1].sqrt()
        return torch.where(scale > 0, agreed / torch.where(scale > 0, scale, 1.0), 0.0).float()


def _agreement(x: Float[Tensor, "M R"], theirs: Float[Tensor, "M T P"], folds: int) -> Float[Tensor, " T"]:
    """The numerator of one student site with every teacher site.

    Products of all folds but one are those of all folds less those of the one; as both sides are centred on all
    samples, what taking off another mean changes is the outer product of the fold's sums, times a number.
    """
    parts = [slice(part, None, folds) for part in range(folds)]
    products = torch.stack([torch.einsum("mr,mtp->trp", x[part], theirs[part]) for part in parts])
    outer = torch.stack([torch.einsum("r,tp->trp", x[part].sum(0), theirs[part].sum(0)) for part in parts])
    seen, moved = (each[:, None, None, None] for each in _counts(len(x), folds))
    fitted = products.sum(0) - products - outer / seen
    u, sizes, v = torch.linalg.svd(fitted, full_matrices=False)
    along = ((u.mT @ (products + moved * outer)) * v).sum(-1)
    return along.masked_fill(sizes <= _RANK * sizes[..., :1], 0.0).sum((0, 2))


def _length(x: Float[Tensor, "M R"], folds: int) -> Float[Tensor, ""]:
    """The squared length of one site in the denominator."""
    sums = torch.stack([x[part::folds].sum(0) for part in range(folds)])
    _, moved = _counts(len(x), folds)
    return x.square().sum() + (moved * sums.square().sum(1)).sum()


def _counts(samples: int, folds: int) -> tuple[Float[Tensor, " K"], Float[Tensor, " K"]]:
    """Of each fold how many samples are not in it, and how often the outer product of its sums is added to its own."""
    held = torch.tensor([len(range(part, samples, folds)) for part in range(folds)], dtype=torch.float64, device="cpu")
    seen = samples - held
    return seen, 2 / seen + held / seen.square()
