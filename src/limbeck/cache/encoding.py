"""How a teacher's feature is written down: exactly, in two bytes a number, in one, or as principal components."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import RecipeError, nearest

# Deviations from the mean that a byte spans; the step is 12 / 255 deviations, its error 0.0136 of one (step / sqrt 12).
_CLIP = 6.0
_LEVELS = 255


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

    def fit(self, rows: Iterable[Float[Tensor, "_ C"]]) -> None:  # noqa: B027 - nothing to see for most
        """Take statistics from some features."""

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
    """Keeps mean and deviation of every channel, so that what is stored has deviation 1."""

    fits: ClassVar[bool] = True
    floor: ClassVar[float] = 1e-6

    def __init__(self) -> None:
        self.mean, self.deviation = torch.zeros(()), torch.ones(())

    def fit(self, rows: Iterable[Float[Tensor, "_ C"]]) -> None:
        """Mean and deviation over all rows, in float64 on the CPU."""
        joined = torch.cat([each.detach().cpu().double() for each in rows])
        mean, deviation = joined.mean(0), joined.std(0, correction=0)
        # A channel that is constant, up to rounding, is stored as zeros.
        floor = self.floor * deviation.square().mean().sqrt().clamp_min(torch.finfo(torch.float32).tiny)
        self.mean, self.deviation = mean.float(), deviation.clamp_min(floor).float()

    def standardised(self, rows: Float[Tensor, "M C"]) -> Float[Tensor, "M C"]:
        """Mean 0 and deviation 1 in every channel."""
        return (rows.float().cpu() - self.mean) / self.deviation

    def state(self) -> dict[str, Tensor]:
        """Mean and deviation."""
        return {"mean": self.mean, "deviation": self.deviation}

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore mean and deviation."""
        self.mean, self.deviation = state["mean"], state["deviation"]


class Half(_Standardising):
    """Two bytes a number, standardised first: a relative error of at most 2 ** -11 of the distance to the mean."""

    name, dtype = "float16", np.float16
    # A channel that was silent so far may still speak: up to 6 typical deviations fit into float16.
    floor: ClassVar[float] = 1e-4

    def encode(self, rows: Float[Tensor, "M C"]) -> np.ndarray:
        """Standardised numbers in float16, clipped to what float16 holds."""
        largest = float(torch.finfo(torch.float16).max)
        return self.standardised(rows).clamp(-largest, largest).half().numpy()

    def decode(self, stored: Tensor) -> Float[Tensor, "M C"]:
        """Back in the teacher's units."""
        return stored.float() * self.deviation.to(stored.device) + self.mean.to(stored.device)


class Byte(_Standardising):
    """One byte a number, standardised and clipped at 6 deviations: an error of 0.0136 deviations."""

    name, dtype = "int8", np.int8

    def encode(self, rows: Float[Tensor, "M C"]) -> np.ndarray:
        """One of 255 levels."""
        scaled = self.standardised(rows).clamp(-_CLIP, _CLIP) * (_LEVELS / (2 * _CLIP))
        return scaled.round().to(torch.int8).numpy()

    def decode(self, stored: Tensor) -> Float[Tensor, "M C"]:
        """Back in the teacher's units."""
        step = self.deviation.to(stored.device) * (2 * _CLIP / _LEVELS)
        return stored.float() * step + self.mean.to(stored.device)


class Components(Encoding):
    """The coordinates along the leading principal directions, two bytes each.

    Args:
        variance: share of the variance that is kept; sets the number of directions.
    """

    name, dtype = "pca", np.float16
    fits: ClassVar[bool] = True

    def __init__(self, variance: float = 0.99) -> None:
        self.variance = variance
        self.mean, self.basis, self.scale = torch.zeros(()), torch.zeros(0, 0), torch.ones(())

    def fit(self, rows: Iterable[Float[Tensor, "_ C"]]) -> None:
        """Principal directions of all rows, in float64 on the CPU."""
        joined = torch.cat([each.detach().cpu().double() for each in rows])
        mean = joined.mean(0)
        values, vectors = torch.linalg.eigh((joined - mean).T @ (joined - mean) / max(1, len(joined)))
        values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
        kept = int((values.cumsum(0) < self.variance * values.sum()).sum()) + 1
        self.mean, self.basis = mean.float(), vectors[:, :kept].float()
        self.scale = values[:kept].sqrt().clamp_min(torch.finfo(torch.float32).tiny).float()

    def stored_channels(self, channels: int) -> int:
        """As many as directions are kept."""
        return self.basis.shape[1] or channels

    def encode(self, rows: Float[Tensor, "M C"]) -> np.ndarray:
        """Coordinates of deviation 1."""
        return ((rows.float().cpu() - self.mean) @ self.basis / self.scale).half().numpy()

    def decode(self, stored: Tensor) -> Float[Tensor, "M C"]:
        """The nearest point in the span of the directions."""
        basis, scale, mean = (each.to(stored.device) for each in (self.basis, self.scale, self.mean))
        return (stored.float() * scale) @ basis.T + mean

    def state(self) -> dict[str, Tensor]:
        """Mean, directions and scales."""
        return {"mean": self.mean, "basis": self.basis, "scale": self.scale}

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore them."""
        self.mean, self.basis, self.scale = state["mean"], state["basis"], state["scale"]


ENCODINGS: dict[str, type[Encoding]] = {each.name: each for each in (Exact, Half, Byte, Components)}


def encoding(name: str) -> Encoding:
    """A new encoding by its name.

    Raises:
        RecipeError: if there is none; names the nearest.

    Example:
        >>> half = encoding("float16")
        >>> rows = torch.tensor([[1.0, 100.0], [3.0, 300.0]])
        >>> half.fit([rows])
        >>> half.decode(torch.from_numpy(half.encode(rows)))
        tensor([[  1., 100.],
                [  3., 300.]])
    """
    if name not in ENCODINGS:
        raise RecipeError(f"There is no encoding '{name}' for a cache. {nearest(name, list(ENCODINGS))}")
    return ENCODINGS[name]()
