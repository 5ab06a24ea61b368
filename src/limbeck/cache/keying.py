"""Both loaders of a training with keyed samples, numbered so that no two data sets share a number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from torch.utils.data import DataLoader

from limbeck.cache.keyed import Keyed, base_of, is_augmented, keyed_loader, why_not_keyed
from limbeck.choice import Choice
from limbeck.errors import DataError

VIEWS = 8


class Keys(NamedTuple):
    """That samples are to be known by number, and how many views of them there are; chosen if not given."""

    views: int | None = None


class KeyedLoaders(NamedTuple):
    """Loaders whose batches carry keys, and how many views each sample has."""

    train: DataLoader[Any]
    validation: Iterable[Any] | None
    views: int
    choice: Choice

    @property
    def loaders(self) -> tuple[DataLoader[Any], ...]:
        """Those of the loaders whose samples are known."""
        both = (self.train, self.validation)
        return tuple(each for each in both if isinstance(each, DataLoader) and isinstance(each.dataset, Keyed))

    @property
    def data(self) -> tuple[Keyed, ...]:
        """The keyed data sets, one for each data set at the bottom."""
        found = {each.dataset.first: each.dataset for each in self.loaders if isinstance(each.dataset, Keyed)}
        return tuple(found[first] for first in sorted(found))

    @property
    def samples(self) -> int:
        """How many numbers are given out."""
        return max(each.first + len(each.base) for each in self.data)


def key_loaders(
    train: Iterable[Any], validation: Iterable[Any] | None, *, views: int | None = None, seed: int = 0
) -> KeyedLoaders:
    """Give the samples of both loaders numbers; augmented training data show a bounded number of views in turn.

    Validation data whose samples cannot be known stay as they are.

    Args:
        train: loader to train with.
        validation: loader to validate with.
        views: of each training sample; 8 if not given and the data set draws random numbers, else 1.
        seed: of the views.

    Raises:
        DataError: if the training samples cannot be known; says why.

    Example:
        >>> import torch
        >>> from torch.utils.data import TensorDataset
        >>> loaders = key_loaders(DataLoader(TensorDataset(torch.zeros(6, 2))), None)
        >>> loaders.views, loaders.samples
        (1, 6)
    """
    why = why_not_keyed(train)
    if why is not None or not isinstance(train, DataLoader):
        raise DataError(
            f"Samples must be known by number here, for a cache or a loss that remembers samples. Found that {why}. "
            "Give a DataLoader over a map-style data set, leave the cache out, or use a loss that needs no keys."
        )
    augmented = is_augmented(train.dataset)
    count = (views or VIEWS) if augmented else 1
    given = "given" if views is not None else "our choice"
    reason = f"the data set draws random numbers; {count} views of each sample in turn, {given}"
    choice = Choice("views", count, reason if augmented else "the data set gives the same sample each time")
    keyed = keyed_loader(train, views=count, seed=seed)
    if not isinstance(validation, DataLoader) or why_not_keyed(validation) is not None:
        return KeyedLoaders(keyed, validation, count, choice)
    same = base_of(validation.dataset) is base_of(train.dataset)
    first = 0 if same else len(base_of(train.dataset))
    held = keyed_loader(validation, views=count if same else 1, seed=seed, first=first, still=True)
    return KeyedLoaders(keyed, held, count, choice)
