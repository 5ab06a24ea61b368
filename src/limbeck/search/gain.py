"""Whether a rival of the default is really better, when all that is known is one training and a few answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Normal

# How sure it must be that a rival is better before the default is left.
SURE = 0.9
# Standard deviation of accuracy between trainings that differ in their seed alone: the noise of our prototype.
SEEDS = 0.005


class Prior(NamedTuple):
    """What is expected of a rival before it is tried: gain in accuracy over the default, and how it varies by pair."""

    mean: float
    deviation: float


# Over the seven pairs of the prototype, each recipe at its own best rate.
PRIORS: Mapping[str, Prior] = {"soft-labels": Prior(-0.041, 0.039), "labels": Prior(-0.057, 0.025)}


def chance_of_gain(differences: Float[Tensor, " n"], prior: Prior | None, *, seeds: float = SEEDS) -> float:
    """How probable it is that a rival is better than the default by more than luck.

    The mean difference is taken to be normal around the true gain, with the variance of a mean of ``n`` answers and
    that between seeds; the true gain to be normal around what the prior says. So a small validation set, or a rival
    that is seldom better, needs a larger lead.

    Args:
        differences: score of the rival less that of the default, for each answer of the validation data ``[n]``.
        prior: of the true gain; ``None`` where nothing is known, and the difference speaks for itself.
        seeds: standard deviation between seeds, in units of the score; it counts twice, for rival and default.

    Example:
        >>> import torch
        >>> better = torch.tensor([1.0] * 10 + [0.0] * 90)  # ten points ahead on a hundred answers
        >>> round(chance_of_gain(better, None), 2), round(chance_of_gain(better, Prior(-0.05, 0.03)), 2)
        (1.0, 0.85)
    """
    values = differences.double()
    mean = float(values.mean())
    spread = float(values.var()) if len(values) > 1 else mean * mean
    variance = spread / len(values) + 2 * seeds * seeds
    if prior is not None:
        weight = 1 / prior.deviation**2
        mean = (mean / variance + prior.mean * weight) / (1 / variance + weight)
        variance = 1 / (1 / variance + weight)
    if variance == 0:
        return float(mean > 0)
    return float(Normal(0.0, 1.0).cdf(Tensor([mean / variance**0.5])))
