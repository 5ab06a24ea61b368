"""How exactly an encoding gives features back, measured channel by channel."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.features import Feature
from limbeck.targets.statistics import Moments

# A channel with an error of half its deviation: a quarter of its variance is gone.
_LOST = 0.5
# Below such a share of the typical deviation a channel says nothing.
_SILENT = 1e-5


class Exactness(NamedTuple):
    """What storing costs.

    Attributes:
        error: root mean square error over all channels, in deviations of all values; 0 is exact.
        worst: that of the worst channel, in deviations of that channel.
        channel: which one that is.
        lost: how many channels come back with an error above half of their deviation.
        channels: how many there are.
    """

    error: float
    worst: float
    channel: int
    lost: int
    channels: int

    def __str__(self) -> str:
        """One phrase."""
        said = f"{self.error:.2g}, worst channel {self.channel}: {self.worst:.2g}"
        return f"{said}, {self.lost} of {self.channels} channels lost" if self.lost else said


class ExactnessMeter:
    """Measures over batches, none of which is kept.

    Args:
        channels: how many.

    Example:
        >>> meter = ExactnessMeter(2)
        >>> values = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
        >>> meter.add(values, values + torch.tensor([0.0, 0.5]))
        >>> meter.found.worst, meter.found.channel
        (0.5, 1)
    """

    def __init__(self, channels: int) -> None:
        self._values, self._errors = Moments(channels), torch.zeros(channels, dtype=torch.float64)
        self._measured = 0

    def see(self, values: Float[Tensor, "M C"]) -> None:
        """Take in some values only: the more, the surer are the deviations that errors are measured in."""
        self._values.add(Feature(values.unsqueeze(0)))

    def add(self, values: Float[Tensor, "M C"], back: Float[Tensor, "M C"]) -> None:
        """Take in some values and what comes back of them."""
        self.see(values)
        self._errors += (back.detach().cpu().double() - values.detach().cpu().double()).square().sum(0)
        self._measured += len(values)

    @property
    def found(self) -> Exactness:
        """The numbers over all that was taken in."""
        mean, variance = self._values.mean, self._values.spread
        square = self._errors / max(self._measured, 1)
        whole = (variance + (mean - mean.mean()).square()).mean()
        # Rounding alone moves a channel that is constant at a large number.
        rounding = torch.finfo(torch.float32).eps * mean.abs()
        deviation = variance.sqrt().maximum(rounding).clamp_min(_SILENT * float(variance.mean().sqrt()))
        each = torch.where(square > 0, square.sqrt() / deviation.clamp_min(1e-300), 0.0)
        worst = int(each.argmax())
        error = float((square.mean() / whole.clamp_min(1e-300)).sqrt())
        return Exactness(error, float(each[worst]), worst, int((each > _LOST).sum()), len(each))
