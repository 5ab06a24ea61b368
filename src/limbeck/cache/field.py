"""One thing that is cached of every sample: the feature of a site, or the logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor

from limbeck._math.resize import resize
from limbeck.cache.encoding import Encoding, encoding
from limbeck.cache.files import Files
from limbeck.cache.rows import Rows
from limbeck.features import Feature
from limbeck.links import FeatureSpec

_STATISTICS = "statistics.safetensors"


@dataclass(frozen=True)
class Form:
    """In what form a site's feature is stored.

    Attributes:
        site: name of the site.
        grid: grid that it is averaged to first, ``()`` for a vector; ``None`` to store every position.
    """

    site: str
    grid: tuple[int, ...] | None = None

    def of(self, feature: Feature) -> Feature:
        """The feature as it is stored, before it is encoded."""
        return feature if self.grid is None else resize(feature, self.grid)

    def __str__(self) -> str:
        """Name of its folder."""
        grid = "" if self.grid is None else "@" + ("x".join(map(str, self.grid)) or "vector")
        return self.site.replace("/", "_").replace(":", "-") + grid


class Field:
    """Rows of one encoding, with what is needed to turn them into features again.

    Args:
        files: of this field.
        shape: of a sample's values, channels last.
        encoded: how they are written down.
        count: how many rows there can be.
        rows_per_file: how many stand in one file.
    """

    def __init__(
        self, files: Files, shape: Sequence[int], encoded: str, *, count: int, rows_per_file: int = 4096
    ) -> None:
        self.files, self.shape, self.count, self.rows_per_file = files, tuple(shape), count, rows_per_file
        self.encoding: Encoding = encoding(encoded)
        self._rows: Rows | None = None
        known = files.local(_STATISTICS)
        if known is not None:
            self.encoding.load(load_file(known))
            self._open()
        elif not self.encoding.fits:
            self._open()

    @property
    def ready(self) -> bool:
        """Whether it can encode."""
        return self._rows is not None

    @property
    def rows(self) -> Rows:
        """The rows on disk."""
        if self._rows is None:
            raise RuntimeError("A field of a cache must see features before it can be used: call fit.")
        return self._rows

    def fit(self, values: Sequence[Tensor]) -> None:
        """Take the statistics of the encoding from some values, once; later calls do nothing."""
        if self.ready:
            return
        path = self.files.folder / _STATISTICS
        with FileLock(f"{path}.lock"):
            # Another process may have been first: all must encode alike.
            if self.files.local(_STATISTICS) is not None:
                self.encoding.load(load_file(path))
            else:
                self.encoding.fit([each.detach().flatten(0, -2) for each in values])
                part = path.with_suffix(".part")
                save_file({name: each.contiguous() for name, each in self.encoding.state().items()}, part)
                part.replace(path)
                self.files.changed(_STATISTICS)
        self._open()

    def encode(self, values: Tensor) -> np.ndarray:
        """What is stored of ``[B, ..., C]``."""
        stored = self.encoding.encode(values.detach().flatten(0, -2))
        return stored.reshape(*values.shape[:-1], -1)

    def decode(self, stored: np.ndarray, device: torch.device) -> Tensor:
        """``[B, ..., C]`` in float32 on a device; the small type is what crosses the bus."""
        tensor = torch.from_numpy(stored)
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        tensor = tensor.to(device, non_blocking=True)
        return self.encoding.decode(tensor.flatten(0, -2)).reshape(len(stored), *self.shape)

    def error(self, values: Sequence[Tensor]) -> float:
        """Root mean square error of storing, over the deviation of the values; 0 is exact."""
        joined = torch.cat([each.detach().float().cpu() for each in values])
        back = self.decode(self.encode(joined), torch.device("cpu"))
        return float((back - joined).square().mean().sqrt() / joined.std().clamp_min(1e-30))

    def _open(self) -> None:
        shape = (*self.shape[:-1], self.encoding.stored_channels(self.shape[-1]))
        self._rows = Rows(self.files, shape, self.encoding.dtype, count=self.count, rows_per_file=self.rows_per_file)


def stored_shape(form: Form, spec: FeatureSpec) -> tuple[int, int]:
    """Positions and channels that are stored of each sample."""
    if form.grid is None:
        return spec.positions, spec.channels
    return int(np.prod(form.grid, dtype=int)), spec.channels
