"""Features that fade."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limbeck.errors import RecipeError
from limbeck.schedules.family import Schedule, Strength


@dataclass(frozen=True)
class CosineDecay(Schedule):
    r"""Let the features fade towards the end, when the student must go where its own capacity leads.

    As in "Wasserstein Distance Rivals Kullback-Leibler Divergence for Knowledge Distillation" (Lv et al., NeurIPS
    2024), https://arxiv.org/abs/2412.08139:

    $$ \sigma_f = \begin{cases} p / r & p < r \\ 1 & r \le p \le a \\
       e + (1 - e) \, \tfrac12 \bigl(1 + \cos \pi \tfrac{p - a}{1 - a}\bigr) & p > a \end{cases}, \qquad \sigma_o = 1 $$

    at progress $p$ from 0 to 1.

    Args:
        start: $a$, when the fading starts; default 0.6: our choice (official code: 0.625).
        end: $e$, the strength at the end; default 0.1: our choice (official code: 0).
        rise: $r$, until when the features come in on a straight line, as in :class:`~limbeck.schedules.WarmUp`; default
            0, in full from the first step: official code.

    Raises:
        RecipeError: if the rise is not from 0 to the start, the start not below 1, or the end not from 0 to 1.

    Example:
        >>> schedule = CosineDecay()
        >>> [round(schedule(progress).feature, 3) for progress in (0.0, 0.6, 0.8, 1.0)]
        [1.0, 1.0, 0.55, 0.1]
    """

    start: float = 0.6
    end: float = 0.1
    rise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.rise <= self.start < 1 or not 0 <= self.end <= 1:
            raise RecipeError(
                "CosineDecay needs a rise from 0 to the start, a start below 1 and an end from 0 to 1. Found "
                f"rise={self.rise}, start={self.start}, end={self.end}."
            )

    def __call__(self, progress: float, /) -> Strength:
        """The feature strength rises to 1, stays there, then falls to the end."""
        progress = max(0.0, progress)
        if progress < self.rise:
            return Strength(feature=progress / self.rise)
        done = min(1.0, max(0.0, (progress - self.start) / (1 - self.start)))
        return Strength(feature=self.end + (1 - self.end) * (1 + math.cos(math.pi * done)) / 2)
