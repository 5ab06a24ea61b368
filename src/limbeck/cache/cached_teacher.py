"""A teacher that runs once for every view of a sample, and is read from disk afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from limbeck.batch import Batch, KnownLogits, ReadOutput, first_tensor, map_tensors, read_logits
from limbeck.cache.answers import AnswerForm, WholeAnswers, apart
from limbeck.cache.cache import Cache
from limbeck.cache.exactness import Exactness, ExactnessMeter
from limbeck.cache.field import Field
from limbeck.cache.form import Form
from limbeck.cache.rounding import rounding_of
from limbeck.cache.top_exactness import TopExactness
from limbeck.capture.capture import Captured
from limbeck.errors import CacheError, DataError
from limbeck.features import Feature
from limbeck.links import FeatureSpec
from limbeck.teachers.feature_source import FeatureSource

# Rounding differs between batch sizes and devices, by far less than between teachers; in half precision by more.
_TOLERANCE, _HALF_TOLERANCE = 0.02, 0.05
# Of how many files of a field samples are drawn, where these hold enough: our choice.
_DRAWN_FILES = 4


@dataclass
class Uses:
    """How often a cached teacher was read, and how often it had to run."""

    read: int = 0
    computed: int = 0


class CachedTeacher:
    """Answers from a cache for batches with keys; runs the live teacher where a row is missing, and keeps what it says.

    What it returns is always what is stored, also in the pass that fills the cache, so that a training gives the same
    numbers whether the cache was there before or not. The live teacher runs in one precision, whatever surrounds it.

    Args:
        live: runs the model; ``None`` to only read.
        cache: where the rows are.
        sites: what is known of the teacher's sites.
        forms: in what form each site is stored.
        read_output: takes the logits from what the model returned.
        answers: in what form logits are stored; ``None`` to store none.
        autocast: gives the surroundings that the live teacher runs in; none by default, which is full precision.

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
        answers: AnswerForm | None = None,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.live, self.cache, self.uses = live, cache, Uses()
        self.sites = {spec.site: spec for spec in sites}
        self.forms = {str(form): form for form in forms}
        self.read_output, self.answers, self._autocast = read_output, answers, autocast
        self._fields: dict[str, Field] = {
            name: cache.field(name, form.shape(self.sites[form.site])) for name, form in self.forms.items()
        }
        for name, stored in {} if answers is None else answers.fields.items():
            self._fields[name] = cache.field(name, stored.shape, encoding=stored.encoding)
        sets = cache.origin.data.values()
        self._samples, self._views = np.array([each.samples for each in sets]), np.array([each.views for each in sets])
        # Numbers of the first sample and of the first row of each data set.
        self._firsts = np.array([0, *accumulate(self._samples)])
        self._starts = np.array([0, *accumulate(self._samples * self._views)])

    def __call__(self, batch: Batch) -> Captured:
        """The teacher's side of a batch."""
        if batch.keys is None:
            return self._computed(batch)
        with _full_precision(batch):
            return self._captured(self._stored(batch), batch)

    @property
    def bytes_per_sample(self) -> int:
        """What one view of one sample takes on disk."""
        return sum(field.rows.bytes_per_row for field in self._fields.values() if field.ready)

    @property
    def size(self) -> int:
        """What the whole cache takes when it is full, in bytes."""
        return self.bytes_per_sample * self.cache.rows

    @property
    def holds_answers(self) -> bool:
        """Whether all logits are stored."""
        return isinstance(self.answers, WholeAnswers)

    def fit(self, batches: Iterable[Batch]) -> dict[str, Exactness | TopExactness]:
        """Let the encodings take their statistics from half of some batches, and measure them on the other half.

        The teacher runs on one batch at a time, and not at all if all of this is known of the cache already.

        Args:
            batches: with keys, as the rows of the second half are stored.

        Returns:
            How exact each field is; of the most probable classes, what is lost by keeping these only.

        Raises:
            DataError: if what the teacher says is not finite.
        """
        asked = {*self.forms, *({} if self.answers is None else self.answers.meter().found)}
        known = self.cache.exactness()
        new = asked - known.keys() | {name for name, field in self._fields.items() if not field.ready}
        if new:
            self._fit(new, *_halves(list(batches)))
            known = self.cache.exactness()
        return {name: known[name] for name in self._fields if name in asked}

    def _fit(self, new: set[str], seen: Sequence[Batch], measured: Sequence[Batch]) -> None:
        """Let these fields take their statistics from some batches, and measure them on others."""
        fields = {name: field for name, field in self._fields.items() if name in new}
        meters = {name: ExactnessMeter(field.shape[-1]) for name, field in fields.items() if name in self.forms}
        answers = None if self.answers is None or len(meters) == len(fields) else self.answers.meter()
        for batch in seen if not all(field.ready for field in fields.values()) else []:
            values = self._values(batch, self._computed(batch))
            for name, field in fields.items():
                field.observe(values[name])
                if name in meters:
                    meters[name].see(values[name].flatten(0, -2))
        for field in fields.values():
            field.fit()
        for batch in measured:
            captured = self._computed(batch)
            values = self._values(batch, captured)
            self._write(batch, values)
            for name, meter in meters.items():
                fields[name].measure(values[name], meter)
            if answers is not None and self.answers is not None:
                back = {name: self._fields[name].given_back(values[name]) for name in self.answers.fields}
                logits, mask = self.read_output(captured.output), batch.for_teacher.mask
                answers.add(logits.cpu(), self.answers.answers(back), None if mask is None else mask.cpu())
        found: dict[str, Exactness | TopExactness] = {name: meter.found for name, meter in meters.items()}
        self.cache.remember({**found, **({} if answers is None else answers.found)})

    def sampled(self, data: str, most: int) -> np.ndarray:
        """Numbers of some samples of a data set of which everything is stored in view 0, always the same.

        Only the files that they are drawn from are looked at, as those of a remote cache are fetched for that.

        Args:
            data: its name.
            most: how many; fewer where fewer are stored.
        """
        place = list(self.cache.origin.data).index(data)
        samples, size = int(self._samples[place]), self.cache.rows_per_file
        files = -(-samples // size)
        generator = np.random.default_rng(samples)
        found = np.arange(0)
        if not all(field.ready for field in self._fields.values()):
            return found
        for looked, file in enumerate(generator.permutation(files)):
            if len(found) == most:
                break
            numbers = generator.permutation(np.arange(file * size, min(samples, (file + 1) * size)))
            for field in self._fields.values():
                numbers = numbers[field.rows.marked(self._starts[place] + numbers)]
            share = -(-(most - len(found)) // max(1, min(files, _DRAWN_FILES) - looked))
            found = np.concatenate([found, self._firsts[place] + numbers[:share]])
        return found

    def check(self, *batches: Batch) -> None:
        """Run the live teacher on samples that are stored already, and compare.

        Args:
            batches: with keys; measured together, as a difference is seen by how far samples are apart.

        Raises:
            CacheError: if they differ by more than rounding; names the field.
        """
        if self.live is None:
            return
        rows = np.concatenate([self._rows(each) for each in batches])
        own: dict[str, list[np.ndarray]] = {name: [] for name in self._fields}
        rounding = 0.0
        for batch in batches:
            captured = self._computed(batch)
            if self.answers is not None:
                moved = rounding_of(captured.output, self.read_output, self.cache.origin.precision)
                rounding = max(rounding, moved)
            for name, values in self._values(batch, captured).items():
                own[name].append(self._fields[name].encode(values))
        stored = {name: field.rows.read(rows) for name, field in self._fields.items()}
        there = np.logical_and.reduce([each.there for each in stored.values()])
        if not there.any():
            return
        now = {name: self._decoded(name, np.concatenate(each)[there]) for name, each in own.items()}
        then = {name: self._decoded(name, each.values[there]) for name, each in stored.items()}
        found = {name: apart(now[name], then[name]) for name in self.forms}
        found |= {} if self.answers is None else self.answers.apart(now, then, rounding=rounding)
        for name, difference in found.items():
            if not difference <= (_TOLERANCE if self.cache.origin.precision == "no" else _HALF_TOLERANCE):
                raise CacheError(
                    f"The cache in '{self.cache.place}' does not hold what the teacher says now: '{name}' differs by "
                    f"{100 * difference:.1f} % on {int(there.sum())} samples that were computed again. The teacher's "
                    "code, the data or their order has changed. Give another place (cache=), or "
                    f"{self.cache.files.how_to_remove}."
                )

    def close(self) -> None:
        """Let everything that was written reach its place."""
        self.cache.close()

    def _rows(self, batch: Batch) -> np.ndarray:
        """The number of the row of each sample of a batch."""
        keys = (batch.keys if batch.keys is not None else torch.zeros(0, 2)).cpu().long().numpy()
        sample, view = keys[:, 0], keys[:, 1]
        place = np.searchsorted(self._firsts, sample, "right") - 1
        if len(keys) and (sample.max() >= self._firsts[-1] or (view >= self._views[place]).any()):
            raise IndexError(
                f"samples are numbered to {self._firsts[-1] - 1}, views to {self._views.max() - 1}; found "
                f"{sample.max()} and {view.max()}"
            )
        return self._starts[place] + view * self._samples[place] + sample - self._firsts[place]

    def _stored(self, batch: Batch) -> dict[str, np.ndarray]:
        """What is stored of a batch, computed first where it is not."""
        rows = self._rows(batch)
        found = {name: field.rows.read(rows) for name, field in self._fields.items() if field.ready}
        if len(found) == len(self._fields) and all(each.there.all() for each in found.values()):
            self.uses.read += 1
            return {name: each.values for name, each in found.items()}
        values = self._values(batch, self._computed(batch))
        for name, field in self._fields.items():
            field.observe(values[name])
            field.fit()
        self._write(batch, values)
        return {name: field.rows.read(rows).values for name, field in self._fields.items()}

    def _decoded(self, name: str, stored: np.ndarray) -> Tensor:
        return self._fields[name].decode(stored, torch.device("cpu"))

    def _write(self, batch: Batch, values: Mapping[str, Tensor]) -> None:
        if batch.keys is not None:
            rows = self._rows(batch)
            for name, field in self._fields.items():
                field.rows.write(rows, field.encode(values[name]))

    def _computed(self, batch: Batch) -> Captured:
        if self.live is None:
            raise CacheError(
                f"The cache in '{self.cache.place}' lacks samples of this batch, and there is no teacher to compute "
                "them. Give the teacher, or build the cache for this data (limbeck cache build)."
            )
        self.uses.computed += 1
        with _full_precision(batch), self._autocast():
            return self.live(batch)

    def _values(self, batch: Batch, captured: Captured) -> dict[str, Tensor]:
        """What the live teacher said of a batch, in the form of each field.

        Raises:
            DataError: if a value is not finite.
        """
        with _full_precision(batch):
            values = {
                name: form.of(captured.features[form.site].full_precision()).x for name, form in self.forms.items()
            }
            values |= {} if self.answers is None else self.answers.of(self.read_output(captured.output))
        for name, each in values.items():
            if each.shape[1:] != self._fields[name].shape:
                raise CacheError(
                    f"A cache needs as many values of every sample. Found '{name}' with shape {tuple(each.shape[1:])} "
                    f"in a batch, {self._fields[name].shape} in others. Pad all batches to one length, pool the site "
                    "(target PoolVector), or leave the cache out."
                )
            if not torch.isfinite(each).all():
                raise DataError(
                    f"What is cached of a teacher must be finite. Found {int((~torch.isfinite(each)).sum())} values "
                    f"of '{name}' that are NaN or infinite. Check the teacher's weights, its inputs and the precision."
                )
        return values

    def _captured(self, stored: Mapping[str, np.ndarray], batch: Batch) -> Captured:
        device = first_tensor(batch.inputs).device
        values = {name: self._fields[name].decode(each, device) for name, each in stored.items()}
        output = None if self.answers is None else KnownLogits(self.answers.answers(values))
        features: dict[str, Feature] = {}
        for name, form in self.forms.items():
            features[form.site] = form.feature(values[name], self.sites[form.site], batch.for_teacher.mask)
        return Captured(output, features, {})


def _full_precision(batch: Batch) -> AbstractContextManager[Any]:
    """No autocast on the device of a batch: what is stored is encoded and decoded exactly."""
    return torch.autocast(first_tensor(batch.inputs).device.type, enabled=False)


def _halves(batches: Sequence[Batch]) -> tuple[Sequence[Batch], Sequence[Batch]]:
    """The first and the second half of some batches, or of the samples of a single one."""
    if len(batches) > 1:
        middle = (len(batches) + 1) // 2
        return batches[:middle], batches[middle:]
    size = batches[0].size
    if size < 2:
        return batches, batches

    def part(samples: slice) -> list[Batch]:
        return [map_tensors(batches[0], lambda each: each[samples] if each.ndim and len(each) == size else each)]

    return part(slice(size // 2)), part(slice(size // 2, size))
