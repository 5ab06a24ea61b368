"""How much of a teacher's feature a linear map of the student's predicts."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import RecipeError
from limbeck.features import Features
from limbeck.similarity.family import Similarity
from limbeck.similarity.pooled_features import PooledFeatures


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

    Pooled features of all samples are kept on the CPU in float32 until the end.

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
        widths = [each.shape[1] for each in teacher]
        y = torch.cat(teacher, 1).double()
        fold = torch.arange(len(y), device="cpu") % self.folds
        return torch.stack([self._predicted(x.double(), y, fold, widths) for x in student]).float()

    def _predicted(
        self, x: Float[Tensor, "M C"], y: Float[Tensor, "M D"], fold: Tensor, widths: list[int]
    ) -> Float[Tensor, " T"]:
        missed, whole = torch.zeros_like(y[0]), torch.zeros_like(y[0])
        for part in range(self.folds):
            seen, held = fold != part, fold == part
            centre_x, centre_y = x[seen].mean(0), y[seen].mean(0)
            fitted = x[seen] - centre_x
            scale = fitted.square().mean().sqrt().clamp_min(1e-30)
            weight = _ridge(fitted / scale, y[seen] - centre_y, self.ridge)
            truth = y[held] - centre_y
            missed += (truth - (x[held] - centre_x) / scale @ weight).square().sum(0)
            whole += truth.square().sum(0)
        shares = [
            1 - lost.sum() / total.sum() if total.sum() > 0 else total.new_zeros(())
            for lost, total in zip(missed.split(widths), whole.split(widths), strict=True)
        ]
        return torch.stack(shares)


def _ridge(x: Float[Tensor, "M C"], y: Float[Tensor, "M D"], ridge: float) -> Float[Tensor, "C D"]:
    samples, channels = x.shape
    if channels <= samples:
        identity = torch.eye(channels, dtype=x.dtype, device=x.device)
        return torch.linalg.solve(x.T @ x + ridge * samples * identity, x.T @ y)
    # The same map from a system of the size of the samples, where there are fewer of those than channels.
    identity = torch.eye(samples, dtype=x.dtype, device=x.device)
    return x.T @ torch.linalg.solve(x @ x.T + ridge * samples * identity, y)
