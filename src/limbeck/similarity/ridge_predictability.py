"""How much of a teacher's feature a linear map of the student's predicts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import RecipeError
from limbeck.features import Features
from limbeck.similarity.family import Similarity
from limbeck.similarity.pooled_features import PooledFeatures

# How many numbers of the students' matrices are held at a time, and with how many teachers they are read at once.
_NUMBERS, _TEACHERS = 2**26, 32
# Into how many parts samples are cut, where only one of two equal halves of their inner products is computed.
_PARTS = 4
# A ridge for features that do not vary, and one, in their squared length, below which rounding decides.
_LEAST, _ROUNDING = 1e-60, 1e-13


class RidgePredictability(Similarity):
    r"""The part of a teacher site's variance that a linear map of a student site predicts on samples it has not seen.

    Ridge regression (Hoerl & Kennard 1970), the oldest of the measures compared in "Similarity of Neural Network
    Representations Revisited" (Kornblith et al., ICML 2019), https://arxiv.org/abs/1905.00414, table 1:

    $$ R^2 = 1 - \frac{\sum_f \lVert Y_f - X_f W_{-f} \rVert_F^2}{\sum_f \lVert Y_f \rVert_F^2}, \qquad
       W_{-f} = (X^\top X + \lambda n I)^{-1} X^\top Y \text{ on all folds but } f $$

    with pooled features, centred by the mean of the samples that $W$ is fitted on, and student features scaled to a
    mean square of 1 there. It has a direction, student to teacher: exactly what a linear projector can reach. 1 if all
    is predicted, 0 if nothing, below 0 if the map misleads.

    Differs from the paper: held out, so that wide students do not look good for their width.

    Pooled features of all samples are kept on the CPU in float32 until the end. A site costs one Gram matrix, of its
    channels or of the samples, if those are fewer, and one system of equations for each fold; a pair of sites, where
    there are many, the inner product of two matrices of samples by samples.

    Shapes: features ``[B, N, C]``; the result ``[S, T]``.

    Args:
        ridge: $\lambda$; default 0.01: our choice.
        folds: how many parts; sample ``i`` belongs to part ``i mod folds``; default 5: our choice.

    Raises:
        RecipeError: if the ridge is not positive or there are fewer than 2 folds.
        DataError: if there are fewer than two samples for each fold, or the sites change between batches.

    Example:
        >>> from limbeck.features import Feature
        >>> x = torch.randn(100, 1, 3)
        >>> similarity = RidgePredictability()
        >>> similarity.update({"fc1": Feature(x)}, {"layer1": Feature(x @ torch.randn(3, 6))})
        >>> bool(similarity.compute() > 0.99)
        True
    """

    def __init__(self, *, ridge: float = 1e-2, folds: int = 5) -> None:
        if ridge <= 0 or folds < 2:
            raise RecipeError(
                f"RidgePredictability needs a ridge above 0 and at least 2 folds. Found ridge={ridge}, folds={folds}."
            )
        self.ridge = ridge
        self.folds = folds
        self._kept = PooledFeatures("RidgePredictability")

    def update(self, student: Features, teacher: Features, /) -> None:
        """Keep the pooled features of one batch."""
        self._kept.add(student, teacher)

    def compute(self) -> Float[Tensor, "S T"]:
        """How much of every teacher site each student site predicts."""
        student, teacher = self._kept.rows(fewest=2 * self.folds, purpose=f"{self.folds} folds")
        truth = [_about_mean(each) for each in teacher]
        missed = _squares((self._left_over(_about_mean(each)) for each in student), truth)
        whole = _squares([self._left_over(truth[0][:, :0])], truth)
        return torch.where(whole > 0, 1 - missed / torch.where(whole > 0, whole, 1.0), 0.0).float()

    def _left_over(self, x: Float[Tensor, "M C"]) -> Float[Tensor, "M M"]:
        """What turns the truth at all samples into what is not predicted of it at each, by a map of the other folds."""
        samples, channels = x.shape
        weights, gram = (_by_samples, x @ x.T) if channels > samples else (_by_channels, x.T @ x)
        fold = torch.arange(samples, device=x.device) % self.folds
        left = torch.eye(samples, dtype=x.dtype, device=x.device)
        for part in range(self.folds):
            seen, held = (fold != part).nonzero().flatten(), (fold == part).nonzero().flatten()
            # The mean of the others is taken off; the ridge's own weights sum to zero, as the fitted x are centred.
            left[held.unsqueeze(1), seen] = -(weights(x, gram, seen, held, self.ridge) + 1 / len(seen))
        return left


def _about_mean(x: Tensor) -> Float[Tensor, "M C"]:
    """In float64; exactly zero where a site is constant."""
    constant = (x == x[:1]).all()
    return torch.zeros_like(x, dtype=torch.float64) if constant else x.double() - x.double().mean(0)


def _by_channels(
    x: Float[Tensor, "M C"], gram: Float[Tensor, "C C"], seen: Tensor, held: Tensor, ridge: float
) -> Float[Tensor, "H K"]:
    """How much each fitted sample counts in what is predicted for each that is held out."""
    others = x[held]
    # The mean of all samples is zero: that of the fitted ones follows from the others' sum.
    shift = others.sum(0) / len(seen)
    removed = torch.cat([others, len(seen) ** 0.5 * shift.unsqueeze(0)])
    inner = torch.addmm(gram, removed.T, removed, alpha=-1)
    return _ridge(inner, (others + shift).T, ridge, channels=x.shape[1]).T @ (x[seen] + shift).T


def _by_samples(
    x: Float[Tensor, "M C"], gram: Float[Tensor, "M M"], seen: Tensor, held: Tensor, ridge: float
) -> Float[Tensor, "H K"]:
    """The same from the inner products of the samples, where there are fewer of those than channels."""
    among, across = gram[seen.unsqueeze(1), seen], gram[seen.unsqueeze(1), held]
    means = among.mean(1, keepdim=True)
    inner = among - means - means.T + means.mean()
    return _ridge(inner, across - across.mean(0) - means + means.mean(), ridge, channels=x.shape[1]).T


def _ridge(
    inner: Float[Tensor, "P P"], asked: Float[Tensor, "P H"], ridge: float, *, channels: int
) -> Float[Tensor, "P H"]:
    """Solves for what is asked, with the ridge in units of the fitted features' mean square, added to ``inner``."""
    penalty = (max(ridge / max(1, channels), _ROUNDING) * inner.trace()).clamp_min(_LEAST)
    inner.diagonal().add_(penalty)
    return torch.cholesky_solve(asked, torch.linalg.cholesky(inner))


def _squares(maps: Iterable[Float[Tensor, "M M"]], sites: list[Float[Tensor, "M _"]]) -> Float[Tensor, "S T"]:
    """The squared length of every site's features behind every map."""
    widths, samples = [each.shape[1] for each in sites], len(sites[0])
    if sum(widths) <= samples:
        every = torch.cat(sites, 1)
        return torch.stack([_sums((each @ every).square().sum(0), widths) for each in maps])
    # With many sites the features are not mapped for every pair: both sides are one matrix of samples by samples.
    rows, left = [], iter(maps)
    while group := [_half(each, twice=2.0) for each in islice(left, _at_once(samples))]:
        some = torch.stack(group)
        found = [some @ torch.stack([_half(each.T, twice=1.0) for each in few]).T for few in _few(sites)]
        rows.append(torch.cat(found, 1))
    return torch.cat(rows)


def _half(matrix: Float[Tensor, "_ M"], *, twice: float) -> Float[Tensor, " K"]:
    """The inner products of the columns, as they are symmetric only of each part with itself and with later ones.

    Args:
        matrix: whose columns they are.
        twice: what those of different parts are multiplied with, as each stands for two.
    """
    parts = matrix.split(-(-matrix.shape[1] // _PARTS), dim=1)
    products = [a.T @ b if a is b else twice * (a.T @ b) for index, a in enumerate(parts) for b in parts[index:]]
    return torch.cat([each.flatten() for each in products])


def _at_once(samples: int) -> int:
    """Of how many students the matrices are held."""
    return max(1, int(_NUMBERS / (samples**2 * (1 + 1 / _PARTS) / 2)))


def _few(sites: list[Tensor]) -> Iterable[list[Tensor]]:
    return (sites[start : start + _TEACHERS] for start in range(0, len(sites), _TEACHERS))


def _sums(values: Float[Tensor, " W"], widths: list[int]) -> Float[Tensor, " T"]:
    return torch.stack([each.sum() for each in values.split(widths)])
