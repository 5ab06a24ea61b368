"""Data whose samples are known by number and view, so that what a teacher said of them can be found again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, get_worker_info

from limbeck.batch import Adapt, Batch, KeyedRaw
from limbeck.cache.comparing import alike
from limbeck.errors import DataError
from limbeck.randomness import own_randomness, seed_all

# A flip that is drawn half of the time goes unnoticed in one of 128 samples, and hardly ever in all that are tried.
_TRIES = 8
# What collate functions raise for samples that cannot be in one batch.
UNBATCHABLE = (RuntimeError, ValueError, TypeError, LookupError)


class Keyed(Dataset[Any]):
    """A data set that yields each sample with its key, and augments it by generators that the key seeds.

    The same key gives the same sample to the last bit, in any process, order and epoch: where something is drawn,
    python's, numpy's and torch's generators are seeded for each sample by seed, number and view. In every epoch another
    view is shown, of ``views`` in turn.

    Args:
        data: a map-style data set; subsets of one data set share their numbers.
        views: how many augmented views of a sample there are.
        drawn: whether the data set draws random numbers; found out by trying a few samples if not given.
        seed: of the views.
        first: what the numbers begin with, so that two data sets share none.
        still: whether every epoch shows view 0, as validation data do.

    Raises:
        DataError: if the data set has no length, or draws from generators that are out of reach.

    Example:
        >>> data = Keyed(torch.arange(5.0), first=100)
        >>> data[3]
        (tensor(3.), (103, 0))
    """

    def __init__(
        self,
        data: Any,
        *,
        views: int = 1,
        drawn: bool | None = None,
        seed: int = 0,
        first: int = 0,
        still: bool = False,
    ) -> None:
        if isinstance(data, IterableDataset) or not hasattr(data, "__len__"):
            raise DataError(
                f"Samples can be known by number in a map-style data set. Found {type(data).__name__}, a stream. "
                "Switch the cache off (cache=None), or give a data set with __len__ and __getitem__."
            )
        self.data, self.views, self.seed, self.first, self.still = data, views, seed, first, still
        self.drawn = views > 1 or (is_augmented(data) if drawn is None else drawn)
        self.base, self.numbers = base_of(data), base_numbers(data)
        # Shared with worker processes that live on from epoch to epoch.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, and so the view, that comes next."""
        self._epoch.fill_(epoch)

    @property
    def view(self) -> int:
        """The view that is shown now."""
        return 0 if self.still else int(self._epoch) % self.views

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Any, tuple[int, int]]:
        return self.sample(index, self.view)

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Any, tuple[int, int]]]:
        """A batch of samples, fetched together where the data set can and nothing is drawn."""
        if not self.drawn and hasattr(self.data, "__getitems__"):
            keys = [(self.first + self.numbers[index], 0) for index in indices]
            return list(zip(self.data.__getitems__(list(indices)), keys, strict=True))
        return [self[index] for index in indices]

    def sample(self, index: int, view: int) -> tuple[Any, tuple[int, int]]:
        """One sample in one view, with its key."""
        number = self.numbers[index]
        return self._drawn(self.data, index, number, view), (self.first + number, view)

    def of_base(self, number: int, *, view: int) -> Any:
        """The sample with a number, whether this subset holds it or not, in one view."""
        return self._drawn(self.base, number, number, view)

    def _drawn(self, data: Any, index: int, number: int, view: int) -> Any:
        if not self.drawn:
            return data[index]
        if get_worker_info() is not None:
            seed_all(self.seed, number, view)
            return data[index]
        with own_randomness():
            seed_all(self.seed, number, view)
            return data[index]


class KeyedCollate:
    """The user's collate function, with the keys of the samples beside what it makes."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, samples: list[tuple[Any, tuple[int, int]]]) -> KeyedRaw:
        """One batch."""
        items, keys = zip(*samples, strict=True)
        return KeyedRaw(self.collate(list(items)), torch.tensor(keys, dtype=torch.int64))


def keyed_loader(loader: Any, **options: Any) -> Any:
    """A copy of a ``DataLoader`` whose batches carry keys; sampler, workers and collate function are the user's.

    Args:
        loader: over a map-style data set.
        options: of :class:`Keyed`.
    """
    mine = copy.copy(loader)
    vars(mine).update(
        dataset=Keyed(loader.dataset, **options), collate_fn=KeyedCollate(loader.collate_fn), _iterator=None
    )
    return mine


class AdaptKeyed:
    """Reads the batches of a keyed loader as ``adapt`` reads those of the user's; others go through as they are."""

    def __init__(self, adapt: Adapt) -> None:
        self.adapt = adapt

    def __call__(self, raw: Any) -> Batch:
        """The batch with its keys."""
        return self.adapt(raw.raw)._replace(keys=raw.keys) if isinstance(raw, KeyedRaw) else self.adapt(raw)


def why_not_keyed(loader: Any) -> str | None:
    """Why the samples of a loader cannot be known by number; ``None`` if they can."""
    if not isinstance(loader, DataLoader):
        return f"the loader is a {type(loader).__name__}, no DataLoader"
    if type(loader).__iter__ is not DataLoader.__iter__:
        return f"the loader is a {type(loader).__name__}, a DataLoader with an __iter__ of its own"
    if isinstance(loader.dataset, IterableDataset) or not hasattr(loader.dataset, "__len__"):
        return "the data set is a stream"
    if loader.batch_sampler is None:
        return "batching is left to the data set (batch_size=None)"
    data: Any = loader.dataset
    if len(data) == 0:
        return "the data set is empty"
    items = _batchable(data, loader.collate_fn)
    if _varies(lambda: loader.collate_fn(copy.deepcopy(items))):
        return "the collate function draws random numbers (mixup?), so a batch is more than its samples"
    return None


def _batchable(data: Any, collate: Callable[[list[Any]], Any]) -> list[Any]:
    """Two samples that can be in one batch: a sampler may put those of one length together."""
    for other in (len(data) - 1, min(1, len(data) - 1)):
        items = [data[0], data[other]]
        try:
            collate(copy.deepcopy(items))
        except UNBATCHABLE:
            continue
        return items
    return [data[0]]


def is_augmented(data: Any, samples: int = 4) -> bool:
    """Whether a data set gives another sample for the same index, tried on a few.

    Raises:
        DataError: if it does so though the generators are seeded alike, as nothing can replay that.
    """
    places = range(min(samples, len(data)))
    found = [index for index in places if _varies(lambda index=index: data[index])]
    if any(_varies(lambda index=index: data[index], seeds=[0] * _TRIES) for index in found):
        raise DataError(
            "Samples that are known by number must be the same each time that they are drawn from the same seeds. "
            f"Found that {type(base_of(data)).__name__} gives other ones: it draws from a generator of its own "
            "(numpy's default_rng, random.Random, torch.Generator), or its samples depend on time or order. Draw from "
            "random, numpy.random or torch's default generator, which limbeck seeds for each sample; or make the "
            "generator in __getitem__, as np.random.default_rng(torch.randint(2**31, ()).item()) does; or leave out "
            "what needs the samples' numbers (cache=, a loss such as CRD)."
        )
    return bool(found)


def base_numbers(data: Any) -> Sequence[int]:
    """The number of each sample in the data set at the bottom of nested subsets."""
    if type(data) is Subset:
        below = base_numbers(data.dataset)
        return [below[index] for index in data.indices]
    return range(len(data))


def base_of(data: Any) -> Any:
    """The data set at the bottom of nested subsets; a subclass of them may change what it gives."""
    return base_of(data.dataset) if type(data) is Subset else data


def _varies(draw: Callable[[], Any], seeds: Sequence[int] = range(_TRIES)) -> bool:
    """Whether what is drawn differs between these seeds of the random generators."""
    with own_randomness():
        found: list[Any] = []
        for seed in seeds:
            seed_all(seed)
            found.append(draw())
    return not all(alike(found[0], other) for other in found[1:])
