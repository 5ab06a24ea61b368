"""Turns data sets into loaders whose order depends on the seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from limbeck.errors import DataError


def training_loader(dataset: Dataset[Any], *, batch_size: int, seed: int, workers: int = 0) -> DataLoader[Any]:
    """Batches in an order drawn anew every epoch from a generator of its own.

    The last, smaller batch is kept, unless it would hold a single sample: batch norm and losses that compare samples
    cannot train on one.

    Example:
        >>> [len(batch) for batch in training_loader(torch.arange(9), batch_size=4, seed=0)]
        [4, 4]
    """
    samples = len(dataset)  # pyright: ignore[reportArgumentType] - map-style by contract
    batch_size = _positive(batch_size)
    lonely = samples > batch_size > 1 and samples % batch_size == 1
    generator = torch.Generator().manual_seed(seed)
    return DataLoader(
        dataset, batch_size=batch_size, shuffle=True, generator=generator, drop_last=lonely, num_workers=workers
    )


def evaluation_loader(dataset: Dataset[Any], *, batch_size: int, workers: int = 0) -> DataLoader[Any]:
    """Batches in the order of the data set, every sample once."""
    return DataLoader(dataset, batch_size=_positive(batch_size), num_workers=workers)


def part_loaders(parts: Mapping[str, Dataset[Any]], *, batch_size: int, seed: int, workers: int = 0) -> dict[str, Any]:
    """A loader for each part by its name: ``train`` in an order of its own each epoch, the others in theirs.

    Example:
        >>> loaders = part_loaders({"train": torch.arange(9), "test": torch.arange(3)}, batch_size=4, seed=0)
        >>> {part: len(loader) for part, loader in loaders.items()}
        {'train': 2, 'test': 1}
    """
    return {
        part: training_loader(dataset, batch_size=batch_size, seed=seed, workers=workers)
        if part == "train"
        else evaluation_loader(dataset, batch_size=batch_size, workers=workers)
        for part, dataset in parts.items()
    }


def stratified(labels: Sequence[int], count: int, *, seed: int) -> list[int]:
    """Sorted places of ``count`` samples with every class present as often as in ``labels``, to within one.

    Raises:
        DataError: if ``count`` does not leave at least one sample of each class inside and is not all of them.

    Example:
        >>> places = stratified([0, 0, 0, 0, 1, 1], 3, seed=0)
        >>> sorted([0, 0, 0, 0, 1, 1][place] for place in places)
        [0, 0, 1]
    """
    every = torch.as_tensor(labels)
    classes, sizes = every.unique(return_counts=True)
    if not len(classes) <= count <= len(every):
        raise DataError(
            f"A share of {len(every)} samples must hold between {len(classes)} (one of each class) and {len(every)}. "
            f"Found {count}. Choose a number in between."
        )
    generator = torch.Generator().manual_seed(seed)
    exact = sizes * (count / len(every))
    quota = exact.floor().clamp_min(1)
    # Largest remainders first; clamping may have given a rare class more than its share, which the common ones pay.
    while (surplus := int(quota.sum()) - count) != 0:
        gain = exact - quota
        if surplus < 0:
            quota[torch.where(quota < sizes, gain, -torch.inf).argmax()] += 1
        else:
            quota[torch.where(quota > 1, gain, torch.inf).argmin()] -= 1
    chosen: list[int] = []
    for kind, number in zip(classes, quota.long(), strict=True):
        places = (every == kind).nonzero().flatten()
        order = torch.randperm(len(places), generator=generator)
        chosen += places[order[: int(number)]].tolist()
    return sorted(chosen)


def _positive(batch_size: int) -> int:
    if batch_size < 1:
        raise DataError(f"A batch size must be at least 1. Found {batch_size}.")
    return batch_size
