"""A copy of a loader for the training, so that the user's own is not touched."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, Sampler, SequentialSampler

from limbeck.cache.keyed import Keyed
from limbeck.randomness import own_randomness, seed_all

_ORDER = 0xD0


def private(loader: Iterable[Any], seed: int) -> Iterable[Any]:
    """A copy that shares the data and nothing that moves: samplers and generators are its own, seeded by ``seed``.

    accelerate puts another sampler into the loader that it is given and seeds its generator; and a generator of the
    user's would stand elsewhere when a training is resumed. Anything but a ``DataLoader`` is given back as it is.
    """
    if not isinstance(loader, DataLoader):
        return loader
    mine = copy.copy(loader)
    changed: dict[str, Any] = {"generator": None, "_iterator": None}
    if isinstance(loader.dataset, IterableDataset):
        pass
    elif loader.batch_sampler is None:
        changed["sampler"] = _own(loader.sampler, seed)
    elif isinstance(loader.batch_sampler, BatchSampler):
        batches = copy.copy(loader.batch_sampler)
        batches.sampler = _own(batches.sampler, seed)
        changed |= {"batch_sampler": batches, "sampler": batches.sampler}
    else:
        changed["batch_sampler"] = _own(loader.batch_sampler, seed)
    # A DataLoader refuses to have these set, for the sake of an iteration under way; nobody iterates the copy yet.
    vars(mine).update(changed)
    return mine


def accelerate_deals(loader: Iterable[Any], processes: int) -> bool:
    """Whether accelerate should deal a loader's batches out.

    It reads a loader that leaves batching to its dataset (``batch_size=None``) without the loader's sampler, and joins
    the batches of a stream again even for a single process, which not every batch survives.
    """
    if not isinstance(loader, DataLoader):
        return False
    if isinstance(loader.dataset, IterableDataset):
        return processes > 1
    return loader.batch_sampler is not None


class Share:
    """Every how-manieth batch of a loader that accelerate cannot deal out, one for each process in turn.

    Args:
        loader: yields the same batches in every process.
        process: number of this process.
        processes: how many there are.
        even: whether to leave out a last round that does not reach every process, so that all make the same steps.

    Example:
        >>> list(Share(range(7), 0, 2, even=True)), list(Share(range(7), 1, 2, even=True))
        ([0, 2, 4], [1, 3, 5])
        >>> list(Share(range(7), 0, 2, even=False))
        [0, 2, 4, 6]
    """

    def __init__(self, loader: Iterable[Any], process: int, processes: int, *, even: bool) -> None:
        self.loader, self.process, self.processes, self.even = loader, process, processes, even

    def set_epoch(self, epoch: int) -> None:
        """Tell the loader which pass comes next."""
        begin_epoch(self.loader, epoch)

    def __iter__(self) -> Iterator[Any]:
        mine: list[Any] = []
        for number, batch in enumerate(self.loader):
            if number % self.processes == self.process:
                mine.append(batch)
            if mine and (number % self.processes == self.processes - 1 or not self.even):
                yield mine.pop()


def begin_epoch(loader: Iterable[Any], epoch: int) -> None:
    """Tell a loader, dealt out by accelerate or private, which pass over the data comes next."""
    order = getattr(loader, "sampler", None)
    # accelerate tells either the sampler or the data set; a data set with views must hear it.
    data = getattr(loader, "dataset", None)
    for each in (loader, order if isinstance(order, SeededOrder) else None, data if isinstance(data, Keyed) else None):
        if hasattr(each, "set_epoch"):
            each.set_epoch(epoch)  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]


class SeededOrder(Sampler[Any]):
    """The order of any sampler, drawn anew for every epoch from generators that seed and epoch decide.

    Args:
        inner: the user's sampler of samples or of batches; a copy of it is iterated.
        seed: of the training.

    Example:
        >>> from torch.utils.data import WeightedRandomSampler
        >>> order = SeededOrder(WeightedRandomSampler([1.0] * 9, 9), seed=0)
        >>> list(order) == list(order)
        True
        >>> first = list(order); order.set_epoch(1); list(order) == first
        False
    """

    def __init__(self, inner: Any, seed: int) -> None:
        self.inner, self.seed, self.epoch = inner, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order comes next."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        inner = _reseeded(self.inner, self.seed + self.epoch)
        if hasattr(inner, "set_epoch"):
            inner.set_epoch(self.epoch)
        with own_randomness():
            seed_all(self.seed, self.epoch, _ORDER)
            drawn = list(inner)
        return iter(drawn)

    def __len__(self) -> int:
        return len(self.inner)

    def __getattr__(self, name: str) -> Any:
        # accelerate asks a batch sampler for its batch_size and drop_last.
        if name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)


def _reseeded(sampler: Any, seed: int) -> Any:
    """A copy whose generators, and those of the samplers within, are new ones."""
    mine = copy.copy(sampler)
    for name, value in list(getattr(mine, "__dict__", {}).items()):
        if isinstance(value, torch.Generator):
            setattr(mine, name, torch.Generator().manual_seed(seed))
        elif isinstance(value, Sampler):
            setattr(mine, name, _reseeded(value, seed))
    return mine


def _own(sampler: Any, seed: int) -> Any:
    if type(sampler) is SequentialSampler:
        return sampler
    if type(sampler) is RandomSampler:
        mine = copy.copy(sampler)
        mine.generator = None
        return mine
    # A sampler without end cannot be drawn beforehand: its order follows the seeds of the steps.
    return SeededOrder(sampler, seed) if hasattr(sampler, "__len__") else copy.copy(sampler)
