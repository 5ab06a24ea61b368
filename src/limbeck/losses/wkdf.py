"""Wasserstein knowledge distillation of features."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.moments import position_moments
from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.samplewise import SamplewiseLoss


class WKDF(SamplewiseLoss):
    r"""Spread over positions as the teacher does: one mean and one deviation per channel.

    From "Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge Distillation" (Lv et al., NeurIPS 2024),
    https://arxiv.org/abs/2412.08139: the squared 2-Wasserstein distance of two Gaussians with diagonal
    covariance, its mean term weighted,

    $$ \frac1B \sum_b \sum_c \Bigl[ \gamma \, (\mu^s_{bc} - \mu^t_{bc})^2 + (\delta^s_{bc} - \delta^t_{bc})^2 \Bigr],
       \qquad \delta = \sqrt{\mathrm{var} + \epsilon} $$

    with mean and unbiased variance over the valid positions of each side by itself: the two need neither the same grid
    nor the same number of positions. Prefix tokens do not take part; a vector has no deviation, and compares means
    only; a sample without a valid position on either side does not count. The value grows with the channels: published
    weights are 0.08 and 0.02.

    Differs from the paper: on the whole grid only, not on the cells of a coarse one.

    Shapes: student ``[B, Ns, C]``, teacher ``[B, Nt, C]``.

    Args:
        mean: $\gamma$; default 4: official code on CIFAR-100 (2 on ImageNet).
        eps: $\epsilon$; default: official code.

    Raises:
        ShapeMismatch: if channels differ.
        RecipeError: if ``mean`` is negative.

    Example:
        >>> import torch
        >>> student, teacher = Feature(torch.full((1, 4, 1), 3.0), (4,)), Feature(torch.full((1, 9, 1), 2.0), (9,))
        >>> WKDF()(student, teacher)
        tensor(4.)
    """

    needs: ClassVar[Match] = Match.CHANNELS

    def __init__(self, *, mean: float = 4.0, eps: float = 1e-5) -> None:
        super().__init__()
        if mean < 0:
            raise RecipeError(f"WKDF needs a weight of at least 0 for the means. Found {mean}. The paper takes 4 or 2.")
        self.mean = mean
        self.eps = eps

    def rows(self, student: Feature, teacher: Feature, /) -> tuple[Float[Tensor, "B 1"], Bool[Tensor, "B 1"] | None]:
        """The formula, for each sample."""
        student, teacher = student.body(), teacher.body()
        mean_s, variance_s = position_moments(student.x, student.mask)
        mean_t, variance_t = position_moments(teacher.x, teacher.mask)
        deviation = (variance_s + self.eps).sqrt() - (variance_t + self.eps).sqrt()
        value = (self.mean * (mean_s - mean_t).square() + deviation.square()).sum(1, keepdim=True)
        some = [each.mask.any(1, keepdim=True) for each in (student, teacher) if each.mask is not None]
        return value, some[0] & some[-1] if some else None

    def extra_repr(self) -> str:
        """Options."""
        return f"mean={self.mean}, eps={self.eps}"
