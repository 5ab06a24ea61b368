"""A teacher that runs once for every view of a sample, and is read from disk afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.batch import Batch, KnownLogits, ReadOutput, first_tensor, read_logits
from limbeck.cache.cache import Cache, CacheError
from limbeck.cache.field import Field, Form, stored_shape
from limbeck.capture.capture import Captured
from limbeck.features import Feature
from limbeck.links import FeatureSpec
from limbeck.teachers.feature_source import FeatureSource

LOGITS = Form("logits")
# Rounding differs between batch sizes and devices, by far less than between teachers.
_TOLERANCE = 0.02


@dataclass
class Uses:
    """How often a cached teacher was read, and how often it had to run."""

    read: int = 0
    computed: int = 0


class CachedTeacher:
    """Answers from a cache for batches with keys; runs the live teacher where a row is missing, and keeps what it says.

    What it returns is always what is stored, also in the pass that fills the cache, so that a training gives the same
    numbers whether the cache was there before or not.

    Args:
        live: runs the model; ``None`` to only read.
        cache: where the rows are.
        sites: what is known of the teacher's sites.
        forms: in what form each site is stored.
        read_output: takes the logits from what the model returned.
        logits: shape of a sample's logits; ``None`` to store none.

    Raises:
        CacheError: if a row is missing and there is no live teacher.
    """

    def __init__(
        self,
        live: FeatureSource | None,
        cache: Cache,
        *,
        sites: Sequence[FeatureSpec],
        forms: Sequence[Form],
        read_output: ReadOutput = read_logits,
        logits: tuple[int, ...] | None = None,
    ) -> None:
        self.live, self.cache, self.uses = live, cache, Uses()
        self.sites = {spec.site: spec for spec in sites}
        self.forms = {form.site: form for form in forms}
        self.read_output = read_output
        self._fields: dict[str, Field] = {
            form.site: cache.field(form, stored_shape(form, self.sites[form.site])) for form in forms
        }
        if logits is not None:
            self._fields[LOGITS.site] = cache.field(LOGITS, logits, encoding="float32")

    def __call__(self, batch: Batch) -> Captured:
        """The teacher's side of a batch."""
        if batch.keys is None:
            return self._computed(batch)
        numbers = self._numbers(batch)
        found = {name: field.rows.read(numbers) for name, field in self._fields.items() if field.ready}
        if len(found) < len(self._fields) or not all(each.there.all() for each in found.values()):
            self._fill(batch, numbers)
            found = {name: field.rows.read(numbers) for name, field in self._fields.items()}
        else:
            self.uses.read += 1
        return self._captured({name: each.values for name, each in found.items()}, first_tensor(batch.inputs).device)

    @property
    def bytes_per_sample(self) -> int:
        """What one view of one sample takes on disk."""
        return sum(field.rows.bytes_per_row for field in self._fields.values() if field.ready)

    @property
    def size(self) -> int:
        """What the whole cache takes when it is full, in bytes."""
        return self.bytes_per_sample * self.cache.rows

    def fit(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Let the encodings take their statistics from a few batches; gives the relative error of each field."""
        seen = [self._values(self._computed(batch)) for batch in batches]
        for name, field in self._fields.items():
            field.fit([each[name] for each in seen])
        return {name: field.error([each[name] for each in seen]) for name, field in self._fields.items()}

    def stored(self, samples: Sequence[int] | range, *, view: int) -> np.ndarray:
        """Those of the samples of which everything is stored in a view."""
        numbers = np.asarray(samples, np.int64)
        if not all(field.ready for field in self._fields.values()):
            return numbers[:0]
        there = np.ones(len(numbers), bool)
        for field in self._fields.values():
            there &= field.rows.marked(view * self.cache.origin.samples + numbers)
        return numbers[there]

    def check(self, batch: Batch) -> None:
        """Run the live teacher on samples that are stored already, and compare.

        Raises:
            CacheError: if they differ by more than rounding; names the field.
        """
        if self.live is None or batch.keys is None:
            return
        numbers = self._numbers(batch)
        values = self._values(self._computed(batch))
        for name, field in self._fields.items():
            stored = field.rows.read(numbers)
            if not stored.there.any():
                continue
            own, kept = field.encode(values[name])[stored.there], stored.values[stored.there]
            own, kept = own.astype(np.float64), kept.astype(np.float64)
            apart = np.abs(own - kept).mean() / max(np.abs(own).mean(), 1e-12)
            if not apart <= _TOLERANCE:
                raise CacheError(
                    f"The cache in '{self.cache.place}' does not hold what the teacher says now: '{name}' differs by "
                    f"{100 * apart:.1f} % on {int(stored.there.sum())} samples that were computed again. Delete the "
                    "cache: the teacher's code, the data or their order has changed."
                )

    def close(self) -> None:
        """Let everything that was written reach its place."""
        self.cache.close()

    def _numbers(self, batch: Batch) -> np.ndarray:
        sample, view = (batch.keys if batch.keys is not None else torch.zeros(0, 2)).cpu().long().unbind(1)
        return (view * self.cache.origin.samples + sample).numpy()

    def _computed(self, batch: Batch) -> Captured:
        if self.live is None:
            raise CacheError(
                f"The cache in '{self.cache.place}' lacks samples of this batch, and there is no teacher to compute "
                "them. Give the teacher, or build the cache for this data (limbeck cache build)."
            )
        self.uses.computed += 1
        return self.live(batch)

    def _fill(self, batch: Batch, numbers: np.ndarray) -> None:
        values = self._values(self._computed(batch))
        for name, field in self._fields.items():
            field.fit([values[name]])
            field.rows.write(numbers, field.encode(values[name]))

    def _values(self, captured: Captured) -> dict[str, Tensor]:
        values = {site: form.of(captured.features[site].full_precision()).x for site, form in self.forms.items()}
        if LOGITS.site in self._fields:
            values[LOGITS.site] = self.read_output(captured.output).float()
        return values

    def _captured(self, stored: Mapping[str, np.ndarray], device: torch.device) -> Captured:
        values = {name: self._fields[name].decode(each, device) for name, each in stored.items()}
        output: Any = KnownLogits(values.pop(LOGITS.site)) if LOGITS.site in values else None
        return Captured(output, {site: self._feature(site, x) for site, x in values.items()}, {})

    def _feature(self, site: str, x: Tensor) -> Feature:
        spec, form = self.sites[site], self.forms[site]
        if form.grid is None:
            return Feature(x, spec.grid, spec.prefix, None, spec.summary)
        return Feature(x, form.grid or None)
