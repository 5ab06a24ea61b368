"""Data that a callable of the user's builds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from limbeck.errors import DataError
from limbeck.sources.data import Data
from limbeck.sources.factory import Factory
from limbeck.sources.loaders import evaluation_loader, training_loader

_BATCH = 32


def factory_data(name: str, *, batch_size: int | None, seed: int, options: Mapping[str, Any]) -> Data:
    """Call ``package.module:factory`` or ``path.py:factory`` and make loaders of what it returned.

    Warning:
        Naming a factory runs its code. Name only code that you trust.

    Args:
        name: what to call. It returns a :class:`Data`, a ``DataLoader`` or ``Dataset`` to train on, or a tuple of two
            or three of those: to train, to validate, to test.
        batch_size: handed to the factory if it has a parameter of that name; else the batches of any ``Dataset`` that
            it returns (32 if ``None``).
        seed: handed to the factory if it has a parameter of that name; else the order of a training ``Dataset``.
        options: its keyword arguments.

    Raises:
        DataError: if it cannot be found, fails, returns anything else, or returns loaders although a batch size is
            asked for that it does not take.
    """
    factory = Factory(name, error=DataError)
    own = {"seed": seed} if batch_size is None else {"seed": seed, "batch_size": batch_size}
    taken = {key: value for key, value in own.items() if key in factory.parameters}
    made = factory(**{**taken, **options})
    parts = made if isinstance(made, tuple) else (made,)
    ready = any(isinstance(part, Data | DataLoader) for part in parts)
    if ready and batch_size is not None and "batch_size" not in taken:
        raise DataError(
            f"{name} must take a parameter batch_size to be asked for batches of {batch_size}. It makes loaders "
            "without one. Add the parameter, return a Dataset, or leave the batch size to the factory."
        )
    if isinstance(made, Data):
        return made
    train, validation, test = _three(name, parts)
    size = batch_size or _BATCH
    classes = getattr(getattr(train, "dataset", train), "classes", None)
    return Data(
        name=name,
        train=_training(name, train, size, seed),
        validation=_held_out(name, validation, size),
        test=_held_out(name, test, size),
        classes=len(classes) if isinstance(classes, list | tuple) else None,
        note=f"data made by {name}",
    )


def _three(name: str, parts: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    if not 1 <= len(parts) <= 3:
        raise DataError(
            f"{name} must return (train, validation) or (train, validation, test). Found a tuple of {len(parts)}. "
            "Leave out what is not needed."
        )
    train, validation, test = (*parts, None, None)[:3]
    return train, validation, test


def _training(name: str, part: Any, batch_size: int, seed: int) -> Iterable[Any]:
    if isinstance(part, IterableDataset):
        return DataLoader(part, batch_size=batch_size)
    if isinstance(part, Dataset):
        return training_loader(part, batch_size=batch_size, seed=seed)
    if isinstance(part, str | Mapping | Tensor) or not isinstance(part, Iterable):
        raise _unreadable(name, part)
    if iter(part) is part:
        raise DataError(
            f"{name} must return batches that can be gone through once an epoch. Found a {type(part).__name__}, which "
            "is empty after the first. Return a DataLoader, a list, or an object with __iter__."
        )
    return part


def _held_out(name: str, part: Any, batch_size: int) -> DataLoader[Any] | None:
    if part is None or isinstance(part, DataLoader):
        return part
    if isinstance(part, Dataset):
        return evaluation_loader(part, batch_size=batch_size)
    raise _unreadable(name, part)


def _unreadable(name: str, part: Any) -> DataError:
    return DataError(
        f"{name} must return a DataLoader, a Dataset, a tuple (train, validation[, test]) of those, or "
        f"limbeck.sources.Data. Found {type(part).__name__}. Wrap it in a DataLoader."
    )
