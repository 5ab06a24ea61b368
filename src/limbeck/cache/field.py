"""One thing that is cached of every sample: the feature of a site, the logits, or a part of what is known of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from limbeck.cache.class_numbers import field_encoding
from limbeck.cache.encoding import Encoding
from limbeck.cache.exactness import ExactnessMeter
from limbeck.cache.files import Files
from limbeck.cache.rows import Rows
from limbeck.errors import CacheError

_STATISTICS = "statistics.safetensors"


class Field:
    """Rows of one encoding, with what is needed to turn them into features again.

    Args:
        files: of this field.
        shape: of a sample's values, channels last.
        encoded: how they are written down.
        counts: how many rows there can be of each data set.
        rows_per_file: how many stand in one file.

    Raises:
        CacheError: if the statistics of the encoding are damaged.
    """

    def __init__(
        self, files: Files, shape: Sequence[int], encoded: str, *, counts: Mapping[str, int], rows_per_file: int = 4096
    ) -> None:
        self.files, self.shape, self.counts, self.rows_per_file = files, tuple(shape), counts, rows_per_file
        self.encoding: Encoding = field_encoding(encoded)
        self._rows: Rows | None = None
        if self._load() or not self.encoding.fits:
            self._open()

    @property
    def ready(self) -> bool:
        """Whether it can encode."""
        return self._rows is not None

    @property
    def rows(self) -> Rows:
        """The rows on disk."""
        if self._rows is None:
            raise RuntimeError("A field of a cache must see features before it can be used: call observe and fit.")
        return self._rows

    def observe(self, values: Tensor) -> None:
        """Take in ``[B, ..., C]`` for the statistics of the encoding; does nothing once there are some."""
        if not self.ready:
            self.encoding.observe(values.detach().flatten(0, -2))

    def fit(self) -> None:
        """Take the statistics from what was observed, once; later calls do nothing.

        Raises:
            CacheError: if they cannot be written.
        """
        if self.ready:
            return
        with self.files.locked(_STATISTICS):
            # Another process may have been first: all must encode alike.
            if not self._load():
                self.encoding.fit()
                with self.files.written(_STATISTICS) as place:
                    save_file({name: each.contiguous() for name, each in self.encoding.state().items()}, place)
        self._open()

    def encode(self, values: Tensor) -> np.ndarray:
        """What is stored of ``[B, ..., C]``."""
        stored = self.encoding.encode(values.detach().flatten(0, -2))
        return stored.reshape(*values.shape[:-1], -1)

    def decode(self, stored: np.ndarray, device: torch.device) -> Tensor:
        """``[B, ..., C]`` in float32, or whole numbers, on a device; the small type is what crosses the bus."""
        tensor = torch.from_numpy(stored)
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        tensor = tensor.to(device, non_blocking=True)
        return self.encoding.decode(tensor.flatten(0, -2)).reshape(len(stored), *self.shape)

    def measure(self, values: Tensor, meter: ExactnessMeter) -> None:
        """Take into the meter what comes back of ``[B, ..., C]`` after storing."""
        meter.add(values.flatten(0, -2), self.given_back(values).flatten(0, -2))

    def given_back(self, values: Tensor) -> Tensor:
        """``[B, ..., C]`` as it comes back after storing, on the CPU."""
        return self.decode(self.encode(values), torch.device("cpu"))

    def _load(self) -> bool:
        """Take the statistics from disk, if they are there."""
        known = self.files.local(_STATISTICS)
        if known is None:
            return False
        try:
            self.encoding.load(load_file(known))
        except (SafetensorError, KeyError) as error:
            raise CacheError(
                f"Rows of a cache are read by their statistics. Found that those in '{self.files.place}' are damaged: "
                f"{error}. Give another place (cache=), or {self.files.how_to_remove}."
            ) from error
        return True

    def _open(self) -> None:
        shape = (*self.shape[:-1], self.encoding.stored_channels(self.shape[-1]))
        self._rows = Rows(self.files, shape, self.encoding.dtype, counts=self.counts, rows_per_file=self.rows_per_file)
