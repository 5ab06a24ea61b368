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
    def of_data(self) -> dict[str, DataLoader[Any]]:
        """A loader for each data set at the bottom: of training data, and of validation data that are others."""
        found: dict[int, DataLoader[Any]] = {}
        for each in self.loaders:
            found.setdefault(keyed(each).first, each)
        return dict(zip(("training", "validation"), found.values(), strict=False))

    @property
    def train_samples(self) -> int:
        """How many numbers the training's data set has, those of samples held out of it included."""
        return len(self.train.dataset.base) if isinstance(self.train.dataset, Keyed) else 0

    @property
    def samples(self) -> int:
        """How many numbers are given out."""
        return max(keyed(each).first + len(keyed(each).base) for each in self.loaders)


def key_loaders(
    train: Iterable[Any], validation: Iterable[Any] | None, *, views: int | None = None, seed: int = 0
) -> KeyedLoaders:
    """Give the samples of both loaders numbers; augmented training data show a bounded number of views in turn.

    Validation data show one view. Those whose samples cannot be known stay as they are.

    Args:
        train: loader to train with.
        validation: loader to validate with.
        views: of each training sample; 8 if not given and the data set draws random numbers, else 1.
        seed: of the views.

    Raises:
        DataError: if the training samples cannot be known, or data draw from a generator out of reach; says why.

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
    said = reason if augmented else "the data set gives the same sample each time"
    mine = keyed_loader(train, views=count, drawn=augmented, seed=seed)
    unknown = None if validation is None else why_not_keyed(validation)
    if validation is None or unknown is not None:
        said += "" if unknown is None else f"; samples of the validation data are not known, as {unknown}"
        return KeyedLoaders(mine, validation, count, Choice("views", count, said))
    held = _held(train, validation, views=count, drawn=augmented, seed=seed)
    return KeyedLoaders(mine, held, count, Choice("views", count, said))


def keyed(loader: DataLoader[Any]) -> Keyed:
    """The data set of a loader with keys."""
    if not isinstance(loader.dataset, Keyed):
        raise TypeError(f"a loader with keys is needed; found one over {type(loader.dataset).__name__}")
    return loader.dataset


def _held(train: DataLoader[Any], validation: Any, *, views: int, drawn: bool, seed: int) -> DataLoader[Any]:
    """The validation data with keys, which are those of the training where both see the same data in the same way."""
    base = base_of(train.dataset)
    if base_of(validation.dataset) is base and validation.collate_fn == train.collate_fn:
        return keyed_loader(validation, views=views, drawn=drawn, seed=seed, still=True)
    return keyed_loader(validation, seed=seed, first=len(base), still=True)
