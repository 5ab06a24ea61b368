"""What of a teacher is kept on disk for a distiller, and in what form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from limbeck.batch import Adapt, Batch, ReadOutput, logits_of, move
from limbeck.cache.cache import Cache, Origin
from limbeck.cache.cached_teacher import CachedTeacher
from limbeck.cache.field import Form
from limbeck.cache.identity import data_hash, weights_hash
from limbeck.cache.keyed import Keyed
from limbeck.cache.keying import KeyedLoaders
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.errors import PlanMismatch
from limbeck.targets import PoolGrid, PoolVector
from limbeck.teachers.live import Teacher

# Of the rows that are there, one in a thousand is computed again when a cache is opened.
_CHECKED_SHARE, _MOST_CHECKED = 0.001, 64


class CacheSettings(NamedTuple):
    """Where and how a teacher is cached.

    Attributes:
        place: folder, or address that fsspec reaches.
        encoding: ``float32``, ``float16``, ``int8`` or ``pca``.
        views: how many augmented views of each sample; chosen if not given.
    """

    place: str | Path
    encoding: str = "float16"
    views: int | None = None


def stored_forms(distiller: Distiller) -> list[Form]:
    """In what form each teacher site is stored: pooled, where all of its terms pool it alike, else as it is.

    Raises:
        PlanMismatch: if a site has another number of positions in every batch and is not pooled.
    """
    pooled: dict[str, set[tuple[int, ...] | None]] = {}
    for term in distiller.every_term:
        first = next(iter(term.targets), None)
        grid = first.grid if isinstance(first, PoolGrid) else () if isinstance(first, PoolVector) else None
        pooled.setdefault(term.link.teacher.site, set()).add(grid)
    forms = [Form(site, grids.pop() if len(grids) == 1 else None) for site, grids in pooled.items()]
    for form, spec in ((form, spec) for form in forms for spec in distiller.teacher_sites if spec.site == form.site):
        if spec.variable and form.grid is None:
            raise PlanMismatch(
                f"A cache needs the same number of positions for every sample. Found '{form.site}' of the teacher, "
                "which follows the length of the batch. Give its links the target PoolVector, or leave the cache out."
            )
    return forms


def cached_teacher(
    live: Teacher,
    distiller: Distiller,
    loaders: KeyedLoaders,
    settings: CacheSettings,
    *,
    batches: Iterable[Batch],
    read_output: ReadOutput,
) -> tuple[CachedTeacher, dict[str, float]]:
    """A teacher that answers from the cache, with encodings that are ready, and the relative error of each field.

    Args:
        live: runs where a row is missing.
        distiller: says which sites are read.
        loaders: with keyed samples.
        settings: where and how.
        batches: a few with keys, for the statistics of the encodings.
        read_output: takes the logits from what the teacher returned.

    Raises:
        CacheError: if the cache was computed from something else.
    """
    batches = list(batches)
    origin = Origin(
        teacher=type(live.model).__name__,
        weights=weights_hash(live.model),
        data=tuple(data_hash(each) for each in loaders.data),
        samples=loaders.samples,
        views=loaders.views,
        seed=loaders.data[0].seed,
        encoding=settings.encoding,
    )
    answer = logits_of(live(batches[0]).output, read_output) if distiller.needs_answers else None
    cached = CachedTeacher(
        live,
        Cache(settings.place, origin),
        sites=distiller.teacher_sites,
        forms=stored_forms(distiller),
        read_output=read_output,
        logits=tuple(answer.shape[1:]) if isinstance(answer, torch.Tensor) else None,
    )
    return cached, cached.fit(batches)


def described_cache(cached: CachedTeacher, errors: Mapping[str, float]) -> Choice:
    """How large the cache is, and how exact by the relative error of each field."""
    rows = cached.cache.rows
    reason = (
        f"{cached.cache.origin.encoding}, {cached.bytes_per_sample} bytes for each of {rows} views of samples; "
        "numbers: root mean square error of storing over the deviation, by site"
    )
    rounded = {name: round(error, 5) for name, error in errors.items()}
    return Choice("teacher cache", f"{cached.size / 1e6:.1f} MB in '{cached.cache.place}'", reason, rounded)


def spot_check(cached: CachedTeacher, loaders: KeyedLoaders, adapt: Adapt, device: Any) -> int:
    """Compute some of the stored rows again and compare; gives how many.

    Raises:
        CacheError: if they are not what the teacher says now.
    """
    checked = 0
    for data in loaders.data:
        there = cached.stored(range(data.first, data.first + len(data.base)), view=0)
        count = min(len(there), max(8, int(len(there) * _CHECKED_SHARE)), _MOST_CHECKED)
        if not count:
            continue
        generator = torch.Generator().manual_seed(int(there.sum()) % 2**31)
        chosen = [int(there[place]) for place in torch.randperm(len(there), generator=generator)[:count]]
        cached.check(_batch_of(data, chosen, loaders, adapt, device))
        checked += count
    return checked


def _batch_of(data: Keyed, numbers: list[int], loaders: KeyedLoaders, adapt: Adapt, device: Any) -> Batch:
    collate: Any = loaders.train.collate_fn
    items = [(data.of_base(number - data.first, view=0), (number, 0)) for number in numbers]
    return move(adapt(collate(items)), device)
