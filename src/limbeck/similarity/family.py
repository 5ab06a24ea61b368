"""The contract of every similarity: how alike each student site is to each teacher site."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from limbeck.features import Features


class Similarity(ABC):
    """Gathered over batches; asked once at the end. Rows are student sites, columns teacher sites, in given order."""

    @abstractmethod
    def update(self, student: Features, teacher: Features, /) -> None:
        """Take in the features of both models on one batch."""

    @abstractmethod
    def compute(self) -> Float[Tensor, "S T"]:
        """Every student site against every teacher site; larger is more alike.

        Raises:
            DataError: if too few samples were seen.
        """
