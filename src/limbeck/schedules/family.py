"""The contract of every schedule: how strongly features and outputs act at a moment of training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple


class Strength(NamedTuple):
    """What the weights of the feature terms and of the output terms are multiplied with."""

    feature: float = 1.0
    output: float = 1.0


@dataclass(frozen=True)
class Schedule(ABC):
    """A function of the share of the training that is done; it has no state."""

    @property
    def outputs_from(self) -> float:
        """The share of the training from which the outputs act; before it a judgement by answers means nothing."""
        return 0.0

    @abstractmethod
    def __call__(self, progress: float, /) -> Strength:
        """The strengths at ``progress``, a number from 0 (first step) to 1 (after the last step)."""
