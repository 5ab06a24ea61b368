"""Which teachers of a committee are left out of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from limbeck.errors import RecipeError

# Neighbouring seeds of a generator are related until it has run a little; a large stride keeps draws apart.
_STRIDE = 1_000_003


@dataclass(frozen=True)
class Dropping:
    r"""Leave the features of each member out of a step with some probability; at least one member stays.

    In every step each of $M$ members is left out with probability $p$; where that would leave none, one that is drawn
    stays. What stays weighs by so much more that each member's weight is in expectation what it is without:

    $$ \frac{1}{P}, \qquad P = (1 - p) + \frac{p^M}{M} $$

    Teacher dropping is from "UNIC: Universal Classification Models via Multi-teacher Distillation" (Sariyildiz et al.,
    ECCV 2024), https://arxiv.org/abs/2408.05088. Differs from it: drawn by step instead of by image, and which stays is
    drawn instead of the one with the largest loss, so that a member that is left out need not run; and weights are
    divided by $P$ instead of by their sum, which would move weight from important members to others.

    A draw follows from the seed and the number of steps, so that all processes draw the same, and a run that is resumed
    goes on as if it had not stopped.

    Args:
        members: their names.
        probability: $p$, from 0 to 1; with 1 a single member stays in every step.
        seed: of the draws; default 0: our choice.

    Raises:
        RecipeError: if there is no member, or the probability is out of range.

    Example:
        >>> dropping = Dropping(("resnet", "vit"), 0.5)
        >>> [dropping.factors(step) for step in (1, 2)]
        [(1.6, 1.6), (1.6, 0.0)]
    """

    members: tuple[str, ...]
    probability: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.members or not 0 <= self.probability <= 1:
            raise RecipeError(
                "Members are left out of a committee with a probability from 0 to 1. Found "
                f"{self.probability} of {list(self.members)}. Correct drop."
            )

    @property
    def staying(self) -> float:
        """How likely a member is to stay: $P$."""
        count = len(self.members)
        return 1 - self.probability + self.probability**count / count

    def factors(self, step: int) -> Sequence[float]:
        """By what the weight of each member is multiplied in a step: 0 if it is left out."""
        generator = torch.Generator("cpu").manual_seed(self.seed + _STRIDE * step)
        drawn = torch.rand(len(self.members), generator=generator, device="cpu", dtype=torch.float64)
        stays = drawn >= self.probability
        # The largest of independent equal draws is any member's, each as likely.
        stays[drawn.argmax()] = True
        return tuple(1 / self.staying if each else 0.0 for each in stays.tolist())
