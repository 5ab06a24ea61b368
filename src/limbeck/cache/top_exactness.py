"""What is lost of a teacher's answers where only the most probable classes are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Tensor

from limbeck._math.top_answers import spread_apart
from limbeck.context import TopAnswers


class TopExactness(NamedTuple):
    """What is lost of the answers by keeping the most probable classes only, at one temperature.

    Attributes:
        divergence: mean Kullback-Leibler divergence, in nats, of the whole answer from what can be rebuilt of it: the
            classes that are kept as they come back from the disk, and the others all alike.
        rest: mean probability of all other classes together.
    """

    divergence: float
    rest: float

    def __str__(self) -> str:
        """One phrase."""
        return f"{self.divergence:.2g} nats lost, {100 * self.rest:.2g} % of the probability in classes not kept"


class TopMeter:
    """Measures over batches, none of which is kept.

    Args:
        fields: the name of the field that keeps the others' sum, for each temperature.
    """

    def __init__(self, fields: Mapping[float, str]) -> None:
        self._fields = fields
        self._sums = {each: torch.zeros(3, dtype=torch.float64) for each in fields}

    def add(self, logits: Tensor, back: TopAnswers, mask: Bool[Tensor, "B N"] | None, /) -> None:
        """Take in some answers and what comes back of them; those at padding do not count."""
        for temperature, sums in self._sums.items():
            lost, rest = spread_apart(logits, back, temperature)
            counted = torch.ones_like(lost) if mask is None or mask.shape != lost.shape else mask.to(lost)
            sums += torch.stack([(lost * counted).sum(), (rest * counted).sum(), counted.sum()]).cpu().double()

    @property
    def found(self) -> dict[str, TopExactness]:
        """Means over all that was taken in, by field."""
        means = {self._fields[each]: sums[:2] / sums[2].clamp_min(1.0) for each, sums in self._sums.items()}
        return {name: TopExactness(*each.tolist()) for name, each in means.items()}
