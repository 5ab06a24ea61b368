"""Features that end before the training does."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.errors import RecipeError
from limbeck.schedules.family import Schedule, Strength


@dataclass(frozen=True)
class StopEarly(Schedule):
    r"""Let the features act in full up to a moment, and not at all after it.

    As in "On the Efficacy of Knowledge Distillation" (Cho & Hariharan, ICCV 2019), https://arxiv.org/abs/1910.01348,
    where a student that is too small for its teacher does better when distillation ends early:

    $$ \sigma_f = \begin{cases} 1 & p < q \\ 0 & p \ge q \end{cases}, \qquad \sigma_o = 1 $$

    at progress $p$ from 0 to 1. Differs from the paper: it stops the features, while the outputs go on.

    Args:
        share: $q$, the share of the training in which features act; default 0.6: our choice.

    Raises:
        RecipeError: if the share is not above 0 and at most 1.

    Example:
        >>> StopEarly()(0.5), StopEarly()(0.6)
        (Strength(feature=1.0, output=1.0), Strength(feature=0.0, output=1.0))
    """

    share: float = 0.6

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise RecipeError(f"StopEarly needs a share above 0 and at most 1. Found {self.share}.")

    def __call__(self, progress: float, /) -> Strength:
        """All or nothing."""
        return Strength(feature=1.0 if progress < self.share else 0.0)
