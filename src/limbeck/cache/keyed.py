"""Data whose samples are known by number and view, so that what a teacher said of them can be found again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, get_worker_info

from limbeck.batch import Adapt, Batch, tensors
from limbeck.errors import DataError
from limbeck.randomness import own_randomness, seed_all

# A flip that is drawn half of the time goes unnoticed in one of 128 samples, and hardly ever in all that are tried.
_TRIES = 8


class KeyedRaw(NamedTuple):
    """A batch as the user's collate function made it, and the number and view of each of its samples."""

    raw: Any
    keys: Int[Tensor, "B 2"]


class Keyed(Dataset[Any]):
    """A data set that yields each sample with its key, and augments it by generators that the key seeds.

    The same key gives the same sample to the last bit, in any process, order and epoch: python's, numpy's and torch's
    generators are seeded for each sample by seed, number and view. In every epoch another view is shown, of ``views``
    in turn; a data set without randomness has one.

    Args:
        data: a map-style data set; subsets of one data set share their numbers.
        views: how many augmented views of a sample there are.
        seed: of the views.
        first: what the numbers begin with, so that two data sets share none.
        still: whether every epoch shows view 0, as validation data do.

    Raises:
        DataError: if the data set has no length.

    Example:
        >>> data = Keyed(torch.arange(5.0), first=100)
        >>> data[3]
        (tensor(3.), (103, 0))
    """

    def __init__(self, data: Any, *, views: int = 1, seed: int = 0, first: int = 0, still: bool = False) -> None:
        if isinstance(data, IterableDataset) or not hasattr(data, "__len__"):
            raise DataError(
                f"Samples can be known by number in a map-style data set. Found {type(data).__name__}, a stream. "
                "Switch the cache off (cache=None), or give a data set with __len__ and __getitem__."
            )
        self.data, self.views, self.seed, self.first, self.still = data, views, seed, first, still
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
        if self.views == 1 and hasattr(self.data, "__getitems__"):
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
        if self.views == 1:
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


def keyed_loader(loader: Any, *, views: int = 1, seed: int = 0, first: int = 0, still: bool = False) -> Any:
    """A copy of a ``DataLoader`` whose batches carry keys; sampler, workers and collate function are the user's."""
    mine = copy.copy(loader)
    vars(mine).update(
        dataset=Keyed(loader.dataset, views=views, seed=seed, first=first, still=still),
        collate_fn=KeyedCollate(loader.collate_fn),
        _iterator=None,
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
    if isinstance(loader.dataset, IterableDataset) or not hasattr(loader.dataset, "__len__"):
        return "the data set is a stream"
    if loader.batch_sampler is None:
        return "batching is left to the data set (batch_size=None)"
    data: Any = loader.dataset
    items = [data[0], data[len(data) - 1]]
    if loader.collate_fn is not None and _varies(lambda: loader.collate_fn(copy.deepcopy(items))):
        return "the collate function draws random numbers (mixup?), so a batch is more than its samples"
    return None


def is_augmented(data: Any, samples: int = 4) -> bool:
    """Whether a data set gives another sample for the same index, tried on a few."""
    return any(_varies(lambda index=index: data[index]) for index in range(min(samples, len(data))))


def base_numbers(data: Any) -> Sequence[int]:
    """The number of each sample in the data set at the bottom of nested subsets."""
    if type(data) is Subset:
        below = base_numbers(data.dataset)
        return [below[index] for index in data.indices]
    return range(len(data))


def base_of(data: Any) -> Any:
    """The data set at the bottom of nested subsets; a subclass of them may change what it gives."""
    return base_of(data.dataset) if type(data) is Subset else data


def _varies(draw: Callable[[], Any]) -> bool:
    """Whether what is drawn depends on the random generators."""
    found = []
    with own_randomness():
        for seed in range(_TRIES):
            seed_all(seed)
            found.append(tensors(as_tensors(draw())))
    return any(
        len(found[0]) != len(other) or any(not torch.equal(a, b) for a, b in zip(found[0], other, strict=True))
        for other in found[1:]
    )


def as_tensors(value: Any) -> Any:
    """A sample with its numbers and arrays as tensors, so that two can be compared."""
    if isinstance(value, dict):
        return [as_tensors(each) for each in value.values()]
    if isinstance(value, tuple | list):
        return [as_tensors(each) for each in value]
    if isinstance(value, Tensor):
        return value
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        return torch.tensor(list(repr(value).encode()))
