"""Features that fade on a straight line."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.errors import RecipeError
from limbeck.schedules.family import Schedule, Strength


@dataclass(frozen=True)
class LinearDecay(Schedule):
    r"""Let the features fade on a straight line.

    The linear decay of "TextBrewer: An Open-Source Knowledge Distillation Toolkit for Natural Language Processing"
    (Yang et al., ACL 2020), https://arxiv.org/abs/2002.12620:

    $$ \sigma_f = 1 - (1 - e) \max\Bigl(0, \frac{p - a}{1 - a}\Bigr), \qquad \sigma_o = 1 $$

    at progress $p$ from 0 to 1.

    Args:
        start: $a$, when the fading starts; default 0: official code.
        end: $e$, the strength at the end; default 0: official code.

    Raises:
        RecipeError: if the start is not from 0 to below 1, or the end not from 0 to 1.

    Example:
        >>> schedule = LinearDecay()
        >>> [schedule(progress).feature for progress in (0.0, 0.25, 1.0)]
        [1.0, 0.75, 0.0]
    """

    start: float = 0.0
    end: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < 1 or not 0 <= self.end <= 1:
            raise RecipeError(
                f"LinearDecay needs a start from 0 to below 1 and an end from 0 to 1. Found start={self.start}, "
                f"end={self.end}."
            )

    def __call__(self, progress: float, /) -> Strength:
        """The feature strength stays at 1 until the start, then falls to the end."""
        done = min(1.0, max(0.0, (progress - self.start) / (1 - self.start)))
        return Strength(feature=1 - (1 - self.end) * done)
