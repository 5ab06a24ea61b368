"""What of a teacher is kept on disk for a distiller, and in what form."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader

from limbeck.batch import Adapt, Batch, ReadOutput, logits_of, move, tensors
from limbeck.cache.answers import LOGITS, MostProbable
from limbeck.cache.cache import Cache
from limbeck.cache.cached_teacher import CachedTeacher
from limbeck.cache.encoding import encoding
from limbeck.cache.exactness import Exactness
from limbeck.cache.form import Form
from limbeck.cache.identity import data_hash, weights_hash
from limbeck.cache.keyed import UNBATCHABLE
from limbeck.cache.keying import KeyedLoaders, keyed
from limbeck.cache.origin import DataOrigin, Origin
from limbeck.cache.top_exactness import TopExactness
from limbeck.capture.capture import Captured
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.errors import PlanMismatch, RecipeError
from limbeck.planning.stored_answers import answer_form
from limbeck.sharding import is_sharded
from limbeck.targets import PoolGrid, PoolVector
from limbeck.teachers.live import Teacher

# One in a thousand of the samples is computed again when a cache is opened.
_CHECKED_SHARE, _FEWEST_CHECKED, _MOST_CHECKED = 0.001, 8, 64


@dataclass(frozen=True)
class CacheSettings:
    """Where and how a teacher is cached.

    Attributes:
        place: folder, or address that fsspec reaches.
        encoding: ``float32``, ``float16``, ``int8`` or ``pca``; ``float16`` if not given.
        views: how many augmented views of each sample; chosen if not given.
        top_k: how many of the teacher's most probable classes are kept of each answer; all logits if not given.

    Raises:
        RecipeError: if there is no such encoding, no view, or no class.
    """

    place: str | Path
    encoding: str | None = None
    views: int | None = None
    top_k: int | None = None

    def __post_init__(self) -> None:
        encoding(self.stored_as)
        if self.views is not None and self.views < 1:
            raise RecipeError(
                f"A cache keeps at least one view of each sample. Found cache_views={self.views}. Give 1 or more, or "
                "leave it out."
            )
        if self.top_k is not None and self.top_k < 1:
            raise RecipeError(
                f"A cache keeps at least one class of each answer. Found cache_top_k={self.top_k}. Give 1 or more (64 "
                "to 128 are usual for language models), or leave it out to keep all logits."
            )

    @property
    def stored_as(self) -> str:
        """The encoding that is used."""
        return self.encoding or "float16"

    def plain(self) -> dict[str, Any]:
        """As it stands in a run's facts: a folder by its full path."""
        place = str(self.place)
        place = place if "://" in place else str(Path(place).absolute())
        return {"place": place, "encoding": self.stored_as, "views": self.views, "top_k": self.top_k}


@runtime_checkable
class Accelerating(Protocol):
    """What a cached teacher must know of the training's accelerator, to run as it does in the training."""

    @property
    def device(self) -> torch.device:
        """Where models run."""
        ...

    @property
    def mixed_precision(self) -> str:
        """The precision: ``no``, ``bf16`` or ``fp16``."""
        ...

    @property
    def autocast(self) -> Callable[..., AbstractContextManager[Any]]:
        """Gives the surroundings that this precision needs."""
        ...


def stored_forms(distiller: Distiller, batches: Sequence[Batch]) -> list[Form]:
    """In what form each teacher site is stored: pooled, where all of its terms pool it alike, else as it is.

    Args:
        distiller: says which sites are read.
        batches: a few; sites that follow the length of the batch can be stored where all have one.

    Raises:
        PlanMismatch: if a site has another number of positions in every batch and is not pooled.
    """
    lengths = {tuple(each.shape[1:] for each in tensors(batch.for_teacher.inputs)) for batch in batches}
    pooled: dict[str, set[tuple[int, ...] | None]] = {}
    for term in distiller.every_term:
        first = next(iter((*term.targets, *term.both)), None)
        grid = first.grid if isinstance(first, PoolGrid) else () if isinstance(first, PoolVector) else None
        pooled.setdefault(term.link.teacher.site, set()).add(grid)
    specs = {spec.site: spec for spec in distiller.teacher_sites}
    forms = [Form.pooled(specs[site], grids.pop() if len(grids) == 1 else None) for site, grids in pooled.items()]
    for form in forms:
        spec = specs[form.site]
        if spec.variable and form.grid is None and len(lengths) > 1:
            raise PlanMismatch(
                f"A cache needs the same number of positions for every sample. Found '{form.site}' of the teacher, "
                "which follows the length of the batch. Pad all batches to one length, give its links the target "
                "PoolVector, or leave the cache out."
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
    accelerator: Accelerating,
    answers: bool,
) -> tuple[CachedTeacher, dict[str, Exactness | TopExactness]]:
    """A teacher that answers from the cache, with encodings that are ready, and how exact each field is.

    Args:
        live: runs where a row is missing.
        distiller: says which sites are read.
        loaders: with keyed samples.
        settings: where and how.
        batches: a few with keys, for the statistics of the encodings.
        read_output: takes the logits from what the teacher returned.
        accelerator: that of the training.
        answers: whether to keep the teacher's answers too.

    Raises:
        CacheError: if the cache was computed from something else, or the disk cannot hold it.
        RecipeError: if the most probable classes are to be kept, and a loss needs all logits, or the teacher is
            sharded.
    """
    if is_sharded(live.model):
        raise RecipeError(
            "A cache runs the teacher in the one process that lacks a row. Found a sharded teacher, which only runs in "
            "all at once. Leave the cache out, or give a teacher in one piece."
        )
    batches = list(batches)
    forms = stored_forms(distiller, batches)
    origin = Origin(
        teacher=type(live.model).__name__,
        weights=weights_hash(live.model),
        data={name: _data_origin(loader) for name, loader in loaders.of_data.items()},
        encoding=settings.stored_as,
        precision=accelerator.mixed_precision,
    )
    cache, form = Cache(settings.place, origin), None
    if answers and (shape := cache.shape(LOGITS) or _answer_shape(live(batches[0]), read_output)) is not None:
        form = answer_form(distiller, shape, settings.top_k)
    cached = CachedTeacher(
        live,
        cache,
        sites=distiller.teacher_sites,
        forms=forms,
        read_output=read_output,
        answers=form,
        autocast=accelerator.autocast,
    )
    exactness = cached.fit(batches)
    cached.cache.require_room(cached.size)
    return cached, exactness


def _answer_shape(captured: Captured, read_output: ReadOutput) -> tuple[int, ...] | None:
    answer = logits_of(captured.output, read_output)
    return tuple(answer.shape[1:]) if isinstance(answer, torch.Tensor) else None


def _data_origin(loader: DataLoader[Any]) -> DataOrigin:
    data = keyed(loader)
    return DataOrigin(data_hash(data), len(data.base), 1 if data.still else data.views, data.seed)


def described_cache(cached: CachedTeacher, exactness: Mapping[str, Exactness | TopExactness]) -> Choice:
    """How large the cache is, and how exact each field; warns of channels that are lost."""
    rows, encoded = cached.cache.rows, cached.cache.origin.encoding
    reason = (
        f"{encoded}, {cached.bytes_per_sample} bytes for each of {rows} views of samples; numbers: root mean square "
        "error of storing, in deviations, by site, measured on other batches than those that the encoding was fitted to"
    )
    if isinstance(cached.answers, MostProbable):
        reason += (
            f"; of the answers the {cached.answers.kept} most probable of {cached.answers.classes} classes, what the "
            "others have together at each temperature (the field's last number), and how far what can be rebuilt is "
            "from the whole answer"
        )
    if lost := {name: each for name, each in exactness.items() if isinstance(each, Exactness) and each.lost}:
        names = "; ".join(f"'{name}' {found.lost} of {found.channels}" for name, found in lost.items())
        said = f"channels that come back with an error above half of their deviation: {names}"
        reason += f". {said}"
        warnings.warn(
            f"A cache should keep every channel. Found with cache_encoding='{encoded}' {said}. Use "
            f"'{'float32' if encoded == 'float16' else 'float16'}'.",
            stacklevel=2,
        )
    size = f"{cached.size / 1e6:.1f} MB in '{cached.cache.place}'"
    return Choice("teacher cache", size, reason, {name: str(found) for name, found in exactness.items()})


def spot_check(cached: CachedTeacher, loaders: KeyedLoaders, adapt: Adapt, device: Any) -> int:
    """Compute some of the stored rows again and compare; gives how many.

    Raises:
        CacheError: if they are not what the teacher says now.
    """
    checked = 0
    for name, loader in loaders.of_data.items():
        samples = cached.cache.origin.data[name].samples
        most = min(max(_FEWEST_CHECKED, int(samples * _CHECKED_SHARE)), _MOST_CHECKED)
        chosen = cached.sampled(name, most).tolist()
        if chosen:
            cached.check(*(move(adapt(raw), device) for raw in _collated(loader, chosen)))
        checked += len(chosen)
    return checked


def _collated(loader: DataLoader[Any], numbers: list[int]) -> list[Any]:
    """Samples in one batch, or one by one where a sampler puts only those together that fit."""
    data, collate = keyed(loader), loader.collate_fn
    items: list[Any] = [(data.of_base(number - data.first, view=0), (number, 0)) for number in numbers]
    try:
        return [collate(items)]
    except UNBATCHABLE:
        return [collate([item]) for item in items]
