"""Features that come in slowly."""

from __future__ import annotations

from dataclasses import dataclass

from limbeck.errors import RecipeError
from limbeck.schedules.family import Schedule, Strength


@dataclass(frozen=True)
class WarmUp(Schedule):
    r"""Let the features come in on a straight line, so that a random projector does not lead the student astray.

    As in "Distilling Knowledge via Knowledge Review" (Chen et al., CVPR 2021), https://arxiv.org/abs/2104.09044:

    $$ \sigma_f = \min(1, p / q), \qquad \sigma_o = 1 $$

    at progress $p$ from 0 to 1.

    Args:
        share: $q$, the share of the training in which they come in; default 0.05: our choice (the paper's code: 20 of
            240 epochs).

    Raises:
        RecipeError: if the share is not above 0 and at most 1.

    Example:
        >>> WarmUp(share=0.1)(0.05)
        Strength(feature=0.5, output=1.0)
    """

    share: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise RecipeError(f"WarmUp needs a share above 0 and at most 1. Found {self.share}.")

    def __call__(self, progress: float, /) -> Strength:
        """The feature strength rises to 1 and stays there."""
        return Strength(feature=min(1.0, max(0.0, progress) / self.share))
