"""Features alone, then the outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limbeck.errors import RecipeError
from limbeck.schedules.family import Schedule, Strength


@dataclass(frozen=True)
class FeaturesFirst(Schedule):
    r"""Learn the features first, without outputs; then let them fade while the outputs are learnt.

    In the order of "FitNets: Hints for Thin Deep Nets" (Romero et al., ICLR 2015), https://arxiv.org/abs/1412.6550,
    which trains a part of the student on hints before the whole on outputs:

    $$ (\sigma_f, \sigma_o) = \begin{cases} (1, 0) & p < q \\
       \bigl(\tfrac12 (1 + \cos \pi \tfrac{p - q}{1 - q}), \; 1\bigr) & p \ge q \end{cases} $$

    at progress $p$ from 0 to 1.

    Differs from the paper: one run with one optimizer, and the features fade instead of ending.

    Args:
        share: $q$, the share of the training for features alone; default 0.3: our choice.

    Raises:
        RecipeError: if the share is not from 0 to below 1.

    Example:
        >>> schedule = FeaturesFirst()
        >>> schedule(0.1), schedule(0.3)
        (Strength(feature=1.0, output=0.0), Strength(feature=1.0, output=1.0))
    """

    share: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise RecipeError(f"FeaturesFirst needs a share from 0 to below 1. Found {self.share}.")

    @property
    def outputs_from(self) -> float:
        """The end of the share for features alone."""
        return self.share

    def __call__(self, progress: float, /) -> Strength:
        """No outputs until the share is done; then outputs in full and features on a cosine to zero."""
        if progress < self.share:
            return Strength(feature=1.0, output=0.0)
        done = min(1.0, (progress - self.share) / (1 - self.share))
        return Strength(feature=(1 + math.cos(math.pi * done)) / 2)
