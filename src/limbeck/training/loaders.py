"""What can be learnt of a data loader without changing it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sized
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, RandomSampler, SequentialSampler, Subset

from limbeck.batch import Adapt, Batch, tensors
from limbeck.errors import DataError


def first_batches(loader: Iterable[Any], adapt: Adapt, count: int) -> list[Batch]:
    """The first batches of a loader.

    Raises:
        DataError: if it is empty, can be gone through only once, or an input is not finite.
    """
    if isinstance(loader, Iterator):
        raise DataError(
            "The training data must be gone through several times. Found an iterator, which ends after one pass. Give "
            "a DataLoader, a list of batches, or an object whose __iter__ begins anew."
        )
    batches = [adapt(raw) for raw in itertools.islice(iter(loader), count)]
    if not batches:
        raise DataError("The training data must yield at least one batch. Found none. Check the loader and its path.")
    for batch in batches:
        for tensor in tensors(batch.inputs):
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise DataError(
                    "Inputs must be finite. Found NaN or infinite values in the first batches. Clean the data, or "
                    "check its normalisation (a standard deviation of zero?)."
                )
    return batches


def sample_count(loader: Iterable[Any]) -> int | None:
    """How many samples a loader goes through in an epoch; ``None`` for a stream."""
    dataset = getattr(loader, "dataset", None)
    if dataset is None or isinstance(dataset, IterableDataset) or not isinstance(dataset, Sized):
        return None
    return len(dataset)


def batch_count(loader: Iterable[Any]) -> int | None:
    """How many batches an epoch has; ``None`` for a stream."""
    try:
        return len(loader)  # pyright: ignore[reportArgumentType]
    except TypeError:
        return None


def hold_out(
    loader: Iterable[Any], *, share: float = 0.1, seed: int = 0
) -> tuple[DataLoader[Any], DataLoader[Any]] | None:
    """Split a map-style loader into one to train with and one to validate with.

    Returns:
        The two loaders with the settings of the given one, or ``None`` if it cannot be split: a stream, a sampler of
        the user's own, or fewer than 20 samples.

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> data = TensorDataset(torch.zeros(100, 2))
        >>> train, validation = hold_out(DataLoader(data, batch_size=10, shuffle=True))
        >>> len(train.dataset), len(validation.dataset)
        (90, 10)
    """
    samples = sample_count(loader)
    if samples is None or samples < 20 or not isinstance(loader, DataLoader) or loader.batch_size is None:
        return None
    if type(loader.sampler) not in {RandomSampler, SequentialSampler}:
        return None
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed)).tolist()
    held = max(1, round(samples * share))
    return (
        _with(loader, Subset(loader.dataset, sorted(order[held:])), isinstance(loader.sampler, RandomSampler)),
        _with(loader, Subset(loader.dataset, sorted(order[:held])), shuffle=False, drop_last=False),
    )


def _with(
    loader: DataLoader[Any], dataset: Dataset[Any], shuffle: bool, drop_last: bool | None = None
) -> DataLoader[Any]:
    return DataLoader(
        dataset,
        batch_size=loader.batch_size,
        shuffle=shuffle,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        drop_last=loader.drop_last if drop_last is None else drop_last,
        worker_init_fn=loader.worker_init_fn,
        persistent_workers=loader.persistent_workers,
    )
