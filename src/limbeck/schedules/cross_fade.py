"""Features that make room for the outputs."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.errors import RecipeError
from limbeck.schedules.family import Schedule, Strength


@dataclass(frozen=True)
class CrossFade(Schedule):
    r"""Let the features fade out while the outputs fade in, on straight lines.

    The linear decay and growth of "TextBrewer: An Open-Source Knowledge Distillation Toolkit for Natural Language
    Processing" (Yang et al., ACL 2020), https://arxiv.org/abs/2002.12620, used together:

    $$ \sigma_f = 1 - m, \qquad \sigma_o = m, \qquad m = \min\Bigl(1, \max\Bigl(0, \frac{p - a}{b - a}\Bigr)\Bigr) $$

    at progress $p$ from 0 to 1: features alone before $a$, outputs alone after $b$.

    Args:
        start: $a$; default 0: official code.
        end: $b$; default 1: official code.

    Raises:
        RecipeError: if it is not 0 <= start < end <= 1.

    Example:
        >>> CrossFade()(0.25)
        Strength(feature=0.75, output=0.25)
    """

    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= 1:
            raise RecipeError(
                "CrossFade needs a start from 0 on, before an end of 1 at most. Found "
                f"start={self.start}, end={self.end}."
            )

    @property
    def outputs_from(self) -> float:
        """The start of the fade."""
        return self.start

    def __call__(self, progress: float, /) -> Strength:
        """What one loses the other gains."""
        done = min(1.0, max(0.0, (progress - self.start) / (self.end - self.start)))
        return Strength(feature=1 - done, output=done)
