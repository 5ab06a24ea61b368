"""A share of the training data that is held out to validate with."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler, SequentialSampler, Subset, TensorDataset

from limbeck.training.loaders import like, sample_count

_FEWEST = 20


def why_not_held_out(loader: Iterable[Any]) -> str | None:
    """Why nothing can be held out of a loader; ``None`` if it can."""
    if not isinstance(loader, DataLoader):
        return f"the training data is a {type(loader).__name__}, not a DataLoader whose samples could be divided"
    samples = sample_count(loader)
    if samples is None:
        return "the training data is a stream"
    if type(loader).__iter__ is not DataLoader.__iter__:
        return f"the training data has a loader class of its own ({type(loader).__name__})"
    sampler = loader.sampler
    if loader.batch_size is None or type(sampler) not in {RandomSampler, SequentialSampler}:
        own = loader.batch_sampler if loader.batch_size is None else sampler
        return f"the training data has a sampler of its own ({type(own).__name__}), which may not be divided"
    if isinstance(sampler, RandomSampler) and (sampler.replacement or len(sampler) != len(loader.dataset)):  # pyright: ignore[reportArgumentType]
        return "the sampler of the training data draws a number of samples of its own"
    if samples < _FEWEST:
        return f"the training data has {samples} samples only; below {_FEWEST} none are held out"
    return None


def hold_out(
    loader: Iterable[Any], *, share: float = 0.1, seed: int = 0
) -> tuple[DataLoader[Any], DataLoader[Any]] | None:
    """Split a map-style loader into one to train with and one to validate with.

    Where the data set shows its class labels (``tensors``, ``targets``, ``labels``), each class is held out in
    proportion, otherwise samples are drawn at random. The held-out samples stand in random order.

    Returns:
        The two loaders with the settings of the given one, or ``None`` where :func:`why_not_held_out` gives a reason.

    Example:
        >>> data = TensorDataset(torch.zeros(100, 2))
        >>> train, validation = hold_out(DataLoader(data, batch_size=10, shuffle=True))
        >>> len(train.dataset), len(validation.dataset)
        (90, 10)
    """
    if why_not_held_out(loader) is not None or not isinstance(loader, DataLoader) or loader.batch_size is None:
        return None
    generator = torch.Generator().manual_seed(seed)
    samples = len(loader.dataset)  # pyright: ignore[reportArgumentType]
    order = torch.randperm(samples, generator=generator)
    labels = _class_labels(loader.dataset)
    if labels is not None:
        order = order[labels[order].sort(stable=True).indices]
    held = _count(samples, round(samples * share), loader.batch_size, lonely_allowed=loader.drop_last)
    # Evenly spaced places in an order sorted by class hold every class in proportion; in a random order, any.
    places = (torch.arange(held) * samples + samples // 2) // held
    out = torch.zeros(samples, dtype=torch.bool)
    out[order[places]] = True
    validation = out.nonzero().flatten()[torch.randperm(held, generator=generator)]
    shuffle = isinstance(loader.sampler, RandomSampler)
    train = Subset(loader.dataset, (~out).nonzero().flatten().tolist())
    return (
        like(loader, train, batch_size=loader.batch_size, shuffle=shuffle, drop_last=loader.drop_last),
        like(loader, Subset(loader.dataset, validation.tolist()), batch_size=loader.batch_size),
    )


def _count(samples: int, wanted: int, batch_size: int, *, lonely_allowed: bool) -> int:
    """About so many that no last batch holds a single sample, which batch norm and many losses cannot use."""

    def lonely(count: int) -> bool:
        return count % batch_size == 1 and batch_size > 1 and count > 1

    near = sorted(range(max(1, wanted - 2), wanted + 3), key=lambda count: abs(count - wanted))
    return min(near, key=lambda held: 2 * (lonely(samples - held) and not lonely_allowed) + lonely(held))


def _class_labels(dataset: Any) -> Tensor | None:
    """Class numbers of all samples, if the data set shows them without loading samples."""
    if isinstance(dataset, Subset):
        labels = _class_labels(dataset.dataset)
        return None if labels is None else labels[torch.as_tensor(dataset.indices)]
    if isinstance(dataset, TensorDataset):
        found: Any = dataset.tensors[-1] if len(dataset.tensors) > 1 else None
    else:
        found = getattr(dataset, "targets", getattr(dataset, "labels", None))
    if not isinstance(found, Tensor | list | tuple) or len(found) != len(dataset):  # pyright: ignore[reportArgumentType]
        return None
    if not isinstance(found, Tensor) and not all(isinstance(each, int) for each in found):
        return None
    labels = torch.as_tensor(found).cpu()
    return labels if labels.ndim == 1 and not labels.is_floating_point() else None
