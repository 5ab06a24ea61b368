"""Going through a loader, with an error that names the data where a sample cannot be read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from limbeck.errors import DataError, LimbeckError


def read(loader: Iterable[Any], name: str = "training") -> Iterator[Any]:
    """What a loader yields; it is begun at once, not with the first batch.

    Args:
        loader: yields batches.
        name: of the data, for the error.

    Raises:
        DataError: if the data set or the loader raises anything, there or while it is gone through.

    Example:
        >>> list(read([1, 2]))
        [1, 2]
        >>> next(read(map(int, ["x"]), "validation"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        limbeck.errors.DataError: The validation data must be readable to its end. Found ValueError: ...
    """
    with _reading(name):
        iterator = iter(loader)
    return _rest(iterator, name)


def _rest(iterator: Iterator[Any], name: str) -> Iterator[Any]:
    while True:
        with _reading(name):
            try:
                raw = next(iterator)
            except StopIteration:
                return
        yield raw


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except LimbeckError:
        raise
    except Exception as error:
        raise DataError(
            f"The {name} data must be readable to its end. Found {_said(error)}. Repair or remove the sample, or let "
            "the data set leave it out."
        ) from error


def _said(error: Exception) -> str:
    """Kind and message; what a worker process caught is the last line of what its loader raises."""
    lines = str(error).strip().splitlines() or ["no message"]
    caught = lines[0].startswith("Caught ") and len(lines) > 1
    return (lines[-1] if caught else f"{type(error).__name__}: {lines[0]}").rstrip(".")
