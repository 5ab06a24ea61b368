"""How a teacher's feature is written down: exactly, in two bytes a number, in one, or as principal components."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import RecipeError, nearest
from limbeck.features import Feature
from limbeck.targets.statistics import Covariance, Moments, principal_axes

# A deviation that is so small a share of the typical one is rounding.
_SILENT = 1e-6
_NEARLY_SILENT = 1e-4
# Deviations from the mean that a byte spans, from -127 to 127: the step is 12 / 254 deviations, its error 0.0136 of one
# (step / sqrt 12).
_CLIP = 6.0
_STEP = _CLIP / 127


class Encoding(ABC):
    """Turns ``[M, C]`` numbers into rows of a small type and back.

    Attributes:
        name: in headers and on the command line.
        dtype: of what is stored.
        fits: whether it must see features before it can encode.
    """

    name: ClassVar[str]
    dtype: ClassVar[type[np.generic]]
    fits: ClassVar[bool] = False

    def observe(self, rows: Float[Tensor, "M C"]) -> None:  # noqa: B027 - nothing to see for some
        """Take in some features; :meth:`fit` follows when all were seen."""

    def fit(self) -> None:  # noqa: B027 - nothing to learn for some
        """Take the statistics from what was observed."""

    def stored_channels(self, channels: int) -> int:
        """How many numbers are stored for each position."""
        return channels

    @abstractmethod
    def encode(self, rows: Float[Tensor, "M C"]) -> np.ndarray:
        """What is stored."""

    @abstractmethod
    def decode(self, stored: Tensor) -> Float[Tensor, "M C"]:
        """What is read again, in float32."""

    def state(self) -> dict[str, Tensor]:
        """The statistics, to be kept beside the rows."""
        return {}

    def load(self, state: dict[str, Tensor]) -> None:  # noqa: B027 - nothing to restore for some
        """Restore the statistics."""


class Exact(Encoding):
    """Four bytes a number, without any error."""

    name, dtype = "float32", np.float32

    def encode(self, rows: Float[Tensor, "M C"]) -> np.ndarray:
        """The numbers."""
        return rows.float().cpu().numpy()

    def decode(self, stored: Tensor) -> Float[Tensor, "M C"]:
        """The numbers."""
        return stored


class _Standardising(Encoding):
    """Keeps mean and scale of every channel, so that what is stored has a deviation of about 1."""

    fits: ClassVar[bool] = True
    moments: ClassVar[type[Moments]] = Moments

    def __init__(self) -> None:
        self.mean, self.scale = torch.zeros(()), torch.ones(())
        self._seen: Moments | None = None
        self._lowest = self._highest = torch.zeros(())

    def observe(self, rows: Float[Tensor, "M C"]) -> None:
        """Take in some features, in float64 on the CPU."""
        rows = rows.detach().cpu().double()
        lowest, highest = rows.aminmax(dim=0)
        if self._seen is None:
            self._seen, self._lowest, self._highest = self.moments(rows.shape[1]), lowest, highest
        self._seen.add(Feature(rows.unsqueeze(0)))
        self._lowest, self._highest = self._lowest.minimum(lowest), self._highest.maximum(highest)

    def fit(self) -> None:
        """Mean and scale over all rows."""
        if self._seen is None:
            raise RuntimeError("An encoding must observe features before it is fitted.")
        mean, variance = self._seen.mean, self._variance(self._seen)
        deviation = variance.clamp_min(0).sqrt()
        typical = variance.mean().clamp_min(0).sqrt()
        typical = torch.where(typical > 0, typical, 1.0)
        extreme = torch.maximum(self._highest - mean, mean - self._lowest)
        # A channel that was constant, up to rounding, may still speak: then as loud as the others.
        scale = torch.where(deviation <= _SILENT * typical, typical, self._scale(deviation, extreme, typical))
        self.mean, self.scale, self._seen = mean.float(), scale.float(), None

    def standardised(self, rows: Float[Tensor, "M C"]) -> Float[Tensor, "M C"]:
        """Mean 0 and scale 1 in every channel."""
        return (rows.float().cpu() - self.mean) / self.scale

    def state(self) -> dict[str, Tensor]:
        """Mean and scale."""
        return {"mean": self.mean, "scale": self.scale}

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore mean and scale."""
        self.mean, self.scale = state["mean"], state["scale"]

    def _variance(self, seen: Moments) -> Float[Tensor, " C"]:
        return seen.spread

    def _scale(
        self,
        deviation: Float[Tensor, " C"],
        extreme: Float[Tensor, " C"],  # noqa: ARG002 - some need no more than the deviation
        typical: Float[Tensor, ""],  # noqa: ARG002
    ) -> Float[Tensor, " C"]:
        """The scale of each channel, from its deviation, the largest distance to its mean, and all deviations."""
        return deviation

    def _restored(self, standardised: Float[Tensor, "M C"]) -> Float[Tensor, "M C"]:
        return standardised * self.scale.to(standardised.device) + self.mean.to(standardised.device)


class Half(_Standardising):
    """Two bytes a number, standardised first: a relative error of at most 2 ** -11 of the distance to the mean."""

    name, dtype = "float16", np.float16

    def encode(self, rows: Float[Tensor, "M C"]) -> np.ndarray:
        """Standardised numbers in float16, clipped to what float16 holds."""
        return _half(self.standardised(rows))

    def decode(self, stored: Tensor) -> Float[Tensor, "M C"]:
        """Back in the teacher's units."""
        return self._restored(stored.float())

    def _scale(
        self,
        deviation: Float[Tensor, " C"],
        extreme: Float[Tensor, " C"],  # noqa: ARG002 - far within what float16 holds
        typical: Float[Tensor, ""],
    ) -> Float[Tensor, " C"]:
        # What was nearly silent may speak: up to 6 typical deviations fit into float16.
        return deviation.clamp_min(_NEARLY_SILENT * float(typical))


class Byte(_Standardising):
    """One byte a number: an error of 0.0136 deviations where none was seen beyond 6 of them.

    The 255 levels span 6 deviations from the mean, or all that was seen: a channel that speaks rarely keeps what it
    says. Beyond that numbers are clipped.
    """

    name, dtype = "int8", np.int8

    def encode(self, rows: Float[Tensor, "M C"]) -> np.ndarray:
        """One of 255 levels."""
        return (self.standardised(rows) / _STEP).round().clamp(-127, 127).to(torch.int8).numpy()

    def decode(self, stored: Tensor) -> Float[Tensor, "M C"]:
        """Back in the teacher's units."""
        return self._restored(stored.float() * _STEP)

    def _scale(
        self,
        deviation: Float[Tensor, " C"],
        extreme: Float[Tensor, " C"],
        typical: Float[Tensor, ""],  # noqa: ARG002 - a larger scale than was seen would cost levels
    ) -> Float[Tensor, " C"]:
        return torch.maximum(deviation, extreme / _CLIP)


class Components(_Standardising):
    """The coordinates along the leading principal directions of the standardised channels, two bytes each.

    Standardised, as the channels of small numbers would all be left out otherwise.

    Args:
        variance: share of the variance that is kept; sets the number of directions.
    """

    name, dtype = "pca", np.float16
    moments: ClassVar[type[Moments]] = Covariance

    def __init__(self, variance: float = 0.99) -> None:
        super().__init__()
        self.variance = variance
        self.basis, self.length = torch.zeros(0, 0), torch.ones(())

    def fit(self) -> None:
        """Principal directions of all rows, in float64 on the CPU."""
        spread = torch.zeros(0, 0) if self._seen is None else self._seen.spread
        super().fit()
        scale = self.scale.double()
        values, axes = principal_axes(spread / scale.outer(scale))
        kept = int((values.cumsum(0) < self.variance * values.sum()).sum()) + 1
        self.basis = axes[:kept].T.float().contiguous()
        self.length = values[:kept].sqrt().clamp_min(torch.finfo(torch.float32).tiny).float()

    def stored_channels(self, channels: int) -> int:
        """As many as directions are kept."""
        return self.basis.shape[1] or channels

    def encode(self, rows: Float[Tensor, "M C"]) -> np.ndarray:
        """Coordinates of deviation 1."""
        return _half(self.standardised(rows) @ self.basis / self.length)

    def decode(self, stored: Tensor) -> Float[Tensor, "M C"]:
        """The nearest point in the span of the directions."""
        basis, length = self.basis.to(stored.device), self.length.to(stored.device)
        return self._restored((stored.float() * length) @ basis.T)

    def state(self) -> dict[str, Tensor]:
        """Mean, scale, directions and their lengths."""
        return {**super().state(), "basis": self.basis, "length": self.length}

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore them."""
        super().load(state)
        self.basis, self.length = state["basis"], state["length"]

    def _variance(self, seen: Moments) -> Float[Tensor, " C"]:
        return seen.spread.diagonal()


def _half(values: Tensor) -> np.ndarray:
    """Numbers in float16, clipped to what it holds."""
    largest = float(torch.finfo(torch.float16).max)
    return values.clamp(-largest, largest).half().numpy()


ENCODINGS: dict[str, type[Encoding]] = {each.name: each for each in (Exact, Half, Byte, Components)}


def encoding(name: str) -> Encoding:
    """A new encoding by its name.

    Raises:
        RecipeError: if there is none; names the nearest.

    Example:
        >>> half = encoding("float16")
        >>> rows = torch.tensor([[1.0, 100.0], [3.0, 300.0]])
        >>> half.observe(rows)
        >>> half.fit()
        >>> half.decode(torch.from_numpy(half.encode(rows)))
        tensor([[  1., 100.],
                [  3., 300.]])
    """
    if name not in ENCODINGS:
        raise RecipeError(f"There is no encoding '{name}' for a cache. {nearest(name, list(ENCODINGS))}")
    return ENCODINGS[name]()
