import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from limbeck.batch import adapt_batch
from limbeck.cache.keyed import AdaptKeyed, Keyed, is_augmented, keyed_loader, why_not_keyed
from limbeck.errors import DataError


class Augmented(Dataset):
    """Every sample is its number and three random numbers, one of each generator."""

    def __len__(self):
        return 20

    def __getitem__(self, index):
        return torch.tensor([index, random.random(), np.random.rand(), torch.rand(()).item()]), index % 2


def read(loader, epoch=0):
    loader.dataset.set_epoch(epoch)
    found = {}
    for raw in loader:
        for row, key in zip(raw.raw[0], raw.keys.tolist(), strict=True):
            found[tuple(key)] = row
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_a_view_is_the_same_to_the_last_bit_in_any_order_and_process(workers):
    loader = DataLoader(Augmented(), batch_size=4, shuffle=True, num_workers=workers, persistent_workers=workers > 0)
    plain = DataLoader(Augmented(), batch_size=3)
    mine, other = keyed_loader(loader, views=2), keyed_loader(plain, views=2)
    first, second, again = read(mine, 0), read(mine, 1), read(other, 2)
    assert set(first) == {(index, 0) for index in range(20)}
    assert set(second) == {(index, 1) for index in range(20)}
    assert all(torch.equal(first[key], again[key]) for key in again)
    assert not any(torch.equal(first[index, 0], second[index, 1]) for index in range(20))


def test_views_disturb_no_generator_of_the_caller():
    # Python's own generator is left out: run-time type checks draw from it.
    torch.manual_seed(0)
    np.random.seed(0)
    expected = torch.rand(1).item(), np.random.rand()
    torch.manual_seed(0)
    np.random.seed(0)
    _ = Keyed(Augmented(), views=3)[5]
    assert (torch.rand(1).item(), np.random.rand()) == expected


def test_subsets_share_the_numbers_of_their_data_set():
    inner = Subset(TensorDataset(torch.arange(10.0)), [9, 3, 4])
    assert [Keyed(Subset(inner, [2, 0]), first=100)[index][1] for index in range(2)] == [(104, 0), (109, 0)]


def test_the_users_loader_is_not_touched():
    loader = DataLoader(Augmented(), batch_size=4)
    data, collate = loader.dataset, loader.collate_fn
    keyed_loader(loader, views=2)
    assert loader.dataset is data
    assert loader.collate_fn is collate


def test_batches_are_adapted_with_their_keys():
    loader = keyed_loader(DataLoader(Augmented(), batch_size=4))
    batch = AdaptKeyed(adapt_batch)(next(iter(loader)))
    assert batch.keys.tolist() == [[0, 0], [1, 0], [2, 0], [3, 0]]
    assert batch.targets.tolist() == [0, 1, 0, 1]


def test_validation_shows_one_view():
    loader = keyed_loader(DataLoader(Augmented(), batch_size=4), views=3, still=True)
    assert set(read(loader, 0)) == set(read(loader, 2))


@pytest.mark.parametrize("drawn", [None, True])
def test_one_view_of_random_data_is_seeded_by_the_key_too(drawn):
    first, second = (Keyed(Augmented(), drawn=drawn, first=50) for _ in range(2))
    assert torch.equal(first[3][0][0], second[3][0][0])
    assert torch.equal(first[3][0][0], first.__getitems__([3])[0][0][0])
    assert not torch.equal(first[3][0][0][1:], first[4][0][0][1:])


class Own(Dataset):
    """Noise by a generator that the data set holds."""

    def __init__(self, generator):
        self.generator = generator

    def __len__(self):
        return 20

    def __getitem__(self, index):
        if isinstance(self.generator, torch.Generator):
            return torch.rand((), generator=self.generator)
        return torch.tensor(self.generator.random())


@pytest.mark.parametrize("generator", [np.random.default_rng(0), random.Random(0), torch.Generator()])
def test_data_that_draw_from_a_generator_of_their_own_are_refused_with_advice(generator):
    with pytest.raises(DataError, match="Own gives other ones.*__getitem__"):
        is_augmented(Own(generator))


class Advised(Dataset):
    """What the advice for those says: a generator made for each sample."""

    def __len__(self):
        return 20

    def __getitem__(self, index):
        generator = np.random.default_rng(torch.randint(2**31, ()).item())
        return torch.tensor(generator.random())


def test_data_that_follow_the_advice_are_replayed():
    assert is_augmented(Advised())
    assert Keyed(Advised(), views=2).sample(3, 1) == Keyed(Advised(), views=2).sample(3, 1)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(3))


class Cutting(DataLoader):
    """A loader that changes its batches."""

    def __iter__(self):
        for x, y in super().__iter__():
            yield x * torch.rand(()), y


def mixing(items):
    x = torch.stack([each for each, _ in items])
    return x * torch.rand(()), torch.tensor([label for _, label in items])


@pytest.mark.parametrize(
    ("loader", "why"),
    [
        (DataLoader(Stream()), "stream"),
        ([1, 2], "no DataLoader"),
        (DataLoader(TensorDataset(torch.ones(4, 2), torch.zeros(4).long()), collate_fn=mixing), "mixup"),
        (DataLoader(TensorDataset(torch.zeros(4, 2)), batch_size=None), "batch_size=None"),
        (Cutting(TensorDataset(torch.ones(4, 2), torch.zeros(4))), "Cutting, a DataLoader with an __iter__ of its own"),
        (DataLoader(TensorDataset(torch.zeros(0, 2))), "empty"),
        (DataLoader(Augmented()), None),
    ],
)
def test_why_samples_cannot_be_known_is_said(loader, why):
    found = why_not_keyed(loader)
    assert (why is None and found is None) or why in found


def test_a_stream_is_refused():
    with pytest.raises(DataError, match="cache=None"):
        Keyed(Stream())


def test_augmentation_is_noticed():
    assert is_augmented(Augmented())
    assert not is_augmented(TensorDataset(torch.zeros(4, 2)))
