"""The built-in training loop, on Hugging Face accelerate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from limbeck.training.candidate import Candidate
from limbeck.training.evaluation import Evaluation
from limbeck.training.side_by_side import SideBySide


class Trainer(Candidate):
    """Trains the student of a distiller: a candidate that is alone. The arguments are those of its base class."""

    def fit(
        self, train: Iterable[Any], validation: Iterable[Any] | None = None, *, resume: bool = False
    ) -> Evaluation | None:
        """Train; the student ends with the weights of the best evaluation.

        Args:
            train: loader to train with.
            validation: loader to select with, or ``None``.
            resume: whether to go on from the checkpoint.

        Returns:
            The best evaluation, or ``None`` without validation data.

        Raises:
            Interrupted: on Ctrl-C, after the state is saved.
            Diverged: if the loss is not finite.
            DataError: if the inputs are not finite, or no batch is large enough for the losses.
        """
        (outcome,) = SideBySide([self]).fit(train, validation, resume=resume)
        if outcome.diverged is not None:
            raise outcome.diverged
        return outcome.evaluation
