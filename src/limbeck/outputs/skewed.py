"""What the two divergences to a mixture share."""

from __future__ import annotations

from limbeck._math.pieces import PIECE
from limbeck.errors import RecipeError
from limbeck.outputs.divergence import Divergence


class Skewed(Divergence):
    """A divergence to a mixture in which one side has the share ``alpha``."""

    def __init__(self, *, alpha: float = 0.1, piece: int = PIECE) -> None:
        super().__init__(piece=piece)
        if not 0 <= alpha < 1:
            raise RecipeError(
                f"{type(self).__name__} needs an alpha from 0 to below 1. Found {alpha}. The paper takes 0.1."
            )
        self.alpha = alpha

    def extra_repr(self) -> str:
        """Options."""
        return f"alpha={self.alpha}, {super().extra_repr()}"
