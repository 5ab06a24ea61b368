"""What can be learnt of a data loader without changing it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from limbeck.batch import Adapt, Batch, tensors
from limbeck.errors import DataError
from limbeck.training.reading import read


def first_batches(loader: Any, adapt: Adapt, count: int, *, name: str = "training") -> list[Batch]:
    """The first batches of a loader.

    Args:
        loader: yields batches.
        adapt: turns what it yields into a batch.
        count: how many.
        name: of the data, for errors.

    Raises:
        DataError: if it is no loader, is empty, can be gone through only once, cannot be read, or an input is not
            finite.
    """
    _check_form(loader, name)
    with lent(loader) as mine:
        batches = [adapt(raw) for raw in itertools.islice(read(mine, name), count)]
    if not batches:
        raise DataError(f"The {name} data must yield at least one batch. Found none. Check the loader and its path.")
    for batch in batches:
        if (fault := input_fault(batch)) is not None:
            raise DataError(f"The {name} data cannot be used: {fault}")
    return batches


@contextmanager
def lent(loader: Any) -> Iterator[Any]:
    """While entered the loader may be gone through as what this gives; the user's own is as it was afterwards.

    That is: its generators and those of its samplers, and the workers that it keeps from one pass to the next.

    Example:
        >>> order = torch.Generator()
        >>> loader, before = DataLoader([1, 2], shuffle=True, generator=order), order.get_state()
        >>> with lent(loader) as mine:
        ...     _ = list(mine)
        >>> bool((order.get_state() == before).all())
        True
    """
    mine = loader
    if isinstance(loader, DataLoader):
        mine = copy.copy(loader)
        vars(mine)["_iterator"] = None
    found = _generators(loader)
    states = [each.get_state() for each in found]
    try:
        yield mine
    finally:
        for each, state in zip(found, states, strict=True):
            each.set_state(state)


def _generators(part: Any) -> list[torch.Generator]:
    parts = list(getattr(part, "__dict__", {}).values())
    own = [each for each in parts if isinstance(each, torch.Generator)]
    return own + [found for each in parts if isinstance(each, Sampler) for found in _generators(each)]


def non_finite(batch: Batch) -> tuple[Tensor, Tensor]:
    """How many NaN or infinite values the inputs and the labels of a batch hold, counted where they are."""
    return _non_finite(batch.inputs), _non_finite(batch.targets)


def data_fault(inputs: int, labels: int) -> str | None:
    """What is wrong with so many values of a batch that are not finite; ``None`` if there are none."""
    if inputs:
        return (
            f"inputs must be finite. Found {inputs} NaN or infinite values in a batch. Clean the data, or check its "
            "normalisation (a standard deviation of zero?)."
        )
    return f"labels must be finite. Found {labels} NaN or infinite ones in a batch. Clean the data." if labels else None


def input_fault(batch: Batch) -> str | None:
    """What is wrong with the inputs of a batch; ``None`` if they are finite."""
    return data_fault(int(_non_finite(batch.inputs)), 0)


def _non_finite(value: Any) -> Tensor:
    counts = [(~torch.isfinite(each)).sum() for each in tensors(value) if each.is_floating_point()]
    return torch.stack(counts).sum() if counts else torch.tensor(0)


def _check_form(loader: Any, name: str) -> None:
    if isinstance(loader, Iterator):
        raise DataError(
            f"The {name} data must be gone through several times. Found an iterator, which ends after one pass. Give "
            "a DataLoader, a list of batches, or an object whose __iter__ begins anew."
        )
    if isinstance(loader, Dataset | Tensor | Mapping | str) or not hasattr(loader, "__iter__"):
        raise DataError(
            f"The {name} data must come in batches. Found {type(loader).__name__}, which yields none. Give "
            "DataLoader(dataset, batch_size=64, shuffle=True), or a list of batches."
        )


def sample_count(loader: Iterable[Any]) -> int | None:
    """How many different samples a loader goes through in an epoch; ``None`` for a stream."""
    dataset = getattr(loader, "dataset", None)
    if dataset is None or isinstance(dataset, IterableDataset) or not isinstance(dataset, Sized):
        return None
    sampler = getattr(loader, "sampler", None)
    return min(len(dataset), len(sampler)) if isinstance(sampler, Sized) else len(dataset)


def batch_count(loader: Iterable[Any]) -> int | None:
    """How many batches an epoch has; ``None`` for a stream."""
    try:
        return len(loader)  # pyright: ignore[reportArgumentType]
    except TypeError:
        return None


def spread(
    loader: Iterable[Any], adapt: Adapt, samples: int, *, seed: int = 0, name: str = "labelled"
) -> Iterator[Batch]:
    """Batches of about so many samples from all over the data, which may be sorted by class.

    Of a map-style data set only these samples are loaded. Of anything else of known length every so-manieth batch is
    used, and of a stream the first ones.

    Example:
        >>> data = DataLoader(torch.arange(1000), batch_size=10)
        >>> batches = list(spread(data, Batch, 20))
        >>> len(batches), bool(batches[-1].inputs.max() > 500)
        (2, True)
    """
    batches = batch_count(loader)
    if batches is not None and isinstance(loader, DataLoader) and _fetches_by_place(loader):
        yield from map(adapt, read(_sparse(loader, samples, seed), name))
        return
    seen, step = 0, 1
    with lent(loader) as mine:
        for index, raw in enumerate(read(mine, name)):
            if index % step == 0:
                batch = adapt(raw)
                if index == 0 and batches is not None:
                    step = max(1, round(batches * batch.size / samples))
                yield batch
                seen += batch.size
                if batches is None and seen >= samples:
                    return


def _fetches_by_place(loader: DataLoader[Any]) -> bool:
    own = type(loader).__iter__ is not DataLoader.__iter__
    return not own and not isinstance(loader.dataset, IterableDataset) and loader.batch_sampler is not None


def _sparse(loader: DataLoader[Any], samples: int, seed: int) -> DataLoader[Any]:
    """A loader of some of the places that the given one draws."""
    with lent(loader):
        batches: list[Any] = list(loader.batch_sampler or ())
    places = [place for batch in batches for place in batch]
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))[:samples].sort().values
    size = max(map(len, batches), default=1)
    chosen = [[places[each] for each in part.tolist()] for part in order.split(size)]
    return like(loader, loader.dataset, batch_sampler=chosen, generator=None)


def like(loader: DataLoader[Any], dataset: Any, **changed: Any) -> DataLoader[Any]:
    """A loader of another data set or in another order, with all other settings of the given one.

    Args:
        loader: whose settings to take.
        dataset: what to load.
        changed: the order, as ``batch_size``, ``shuffle`` and ``drop_last`` or as ``batch_sampler``; other settings.
    """
    kept = {
        "num_workers": loader.num_workers,
        "collate_fn": loader.collate_fn,
        "pin_memory": loader.pin_memory,
        "timeout": loader.timeout,
        "worker_init_fn": loader.worker_init_fn,
        "multiprocessing_context": loader.multiprocessing_context,
        "generator": loader.generator,
        "persistent_workers": loader.persistent_workers,
        "prefetch_factor": loader.prefetch_factor,
    }
    return DataLoader(dataset, **{**kept, **changed})
