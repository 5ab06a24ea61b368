"""Filling a cache before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from limbeck.batch import Adapt, move
from limbeck.cache.cached_teacher import CachedTeacher
from limbeck.cache.keyed import Keyed
from limbeck.cache.keying import KeyedLoaders
from limbeck.progress import ProgressBar
from limbeck.training.loaders import lent, like
from limbeck.training.reading import read


def fill(
    cached: CachedTeacher, loaders: KeyedLoaders, adapt: Adapt, device: torch.device | str, *, show: bool = True
) -> int:
    """Let the teacher answer for every view of every sample that is not stored yet; gives the number of batches it ran.

    Args:
        cached: whose cache is filled.
        loaders: with keyed samples.
        adapt: turns what a loader yields into a batch.
        device: where the teacher is.
        show: whether to show a progress bar on a terminal.
    """
    before = cached.uses.computed
    passes = [(loader, view) for loader in loaders.loaders for view in _views(loader)]
    total = sum(len(_in_order(loader)) for loader, _ in passes)
    with ProgressBar("Filling the cache", total, show=show) as bar:
        for loader, view in passes:
            for raw in _shown(loader, view):
                cached(move(adapt(raw), device))
                bar.advance(note=f"{cached.uses.computed - before} batches computed")
    return cached.uses.computed - before


def _views(loader: DataLoader[Any]) -> range:
    data = loader.dataset
    return range(1 if not isinstance(data, Keyed) or data.still else data.views)


def _shown(loader: DataLoader[Any], view: int) -> Iterator[Any]:
    if isinstance(loader.dataset, Keyed):
        loader.dataset.set_epoch(view)
    with lent(loader):
        yield from read(_in_order(loader), "cached")


def _in_order(loader: DataLoader[Any]) -> DataLoader[Any]:
    """Every sample once, in order, whatever the sampler leaves out.

    A batch sampler of the user's is left as it is: it alone knows which samples can be in one batch.
    """
    order = {"batch_sampler": loader.batch_sampler} if loader.batch_size is None else {"batch_size": loader.batch_size}
    return like(loader, loader.dataset, generator=None, **order)
