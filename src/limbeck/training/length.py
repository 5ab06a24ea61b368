"""How long a training is, and when it looks at validation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from limbeck.choice import Choice
from limbeck.errors import RecipeError
from limbeck.recipe.settings import Settings

CAP_STEPS = 2000
CAP_EPOCHS = 30


@dataclass(frozen=True)
class Length:
    """Optimizer steps of a training.

    Attributes:
        steps: the most there will be.
        every: steps between two looks at validation.
        patience: looks without improvement after which it stops; ``None`` for never.
        choice: the decision, for the plan.
    """

    steps: int
    every: int
    patience: int | None
    choice: Choice

    @classmethod
    def of(cls, settings: Settings, batches: int | None, *, processes: int = 1, validated: bool = True) -> Length:
        """Read the settings for data with so many batches an epoch (``None`` for a stream), dealt to the processes.

        Without steps or epochs the cap is the longer of 2,000 steps and 30 epochs (our choice), and training stops
        before it when a quarter of its evaluations in a row bring no improvement; without validation data it goes on to
        the cap.

        Example:
            >>> Length.of(Settings(epochs=3), batches=10).steps
            30
            >>> Length.of(Settings(), None, validated=False).choice.reason
            '2000 steps, as there is no validation data to stop by'

        Raises:
            RecipeError: if epochs are given for a stream, whose length nobody knows.
        """
        per_epoch = None if batches is None else max(1, math.ceil(batches / settings.accumulate / processes))
        patience = settings.patience
        if settings.steps is not None:
            steps, reason = settings.steps, "given"
        elif settings.epochs is not None:
            if per_epoch is None:
                raise RecipeError("Epochs need data of known length. Found a stream. Give steps= (--steps) instead.")
            steps, reason = settings.epochs * per_epoch, f"{settings.epochs} epochs of {per_epoch} steps, as given"
        else:
            steps = max(CAP_STEPS, CAP_EPOCHS * (per_epoch or 0))
            cap = (
                f"{CAP_STEPS} steps"
                if per_epoch is None
                else f"the longer of {CAP_STEPS} steps and {CAP_EPOCHS} epochs"
            )
            if validated:
                patience = patience if patience is not None else max(3, settings.evaluations // 4)
                reason = f"until {patience} evaluations in a row bring no improvement, at most {cap}"
            else:
                reason = f"{cap}, as there is no validation data to stop by"
        every = max(1, steps // settings.evaluations)
        return cls(steps, every, patience, Choice("steps", steps, reason))
