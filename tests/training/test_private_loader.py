"""The user's loader stays as it is; the training's copy gives the same order for the same seed and epoch."""

import pytest
import torch
from accelerate import Accelerator
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
)

from limbeck.batch import Batch
from limbeck.training.loaders import _generators, first_batches
from limbeck.training.private_loader import SeededOrder, accelerate_deals, begin_epoch, private

DATA = TensorDataset(torch.arange(24))


class Backwards(RandomSampler):
    """A subclass of RandomSampler whose order is its own."""

    def __iter__(self):
        return iter(range(len(self) - 1, -1, -1))


class Pairs(Sampler):
    """A batch sampler that is no subclass of torch's."""

    batch_size, drop_last = 2, False

    def __iter__(self):
        order = torch.randperm(24).tolist()
        return iter([order[at : at + 2] for at in range(0, 24, 2)])

    def __len__(self):
        return 12


class Endless(Sampler):
    def __iter__(self):
        while True:
            yield int(torch.randint(24, ()))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.arange(6))


def generator():
    return torch.Generator().manual_seed(3)


LOADERS = {
    "shuffled": lambda: DataLoader(DATA, batch_size=4, shuffle=True, generator=generator()),
    "in order": lambda: DataLoader(DATA, batch_size=4),
    "subclass": lambda: DataLoader(DATA, batch_size=4, sampler=Backwards(DATA)),
    "weighted": lambda: DataLoader(
        DATA, batch_size=4, sampler=WeightedRandomSampler([1.0] * 24, 24, generator=generator())
    ),
    "batch sampler": lambda: DataLoader(DATA, batch_sampler=BatchSampler(RandomSampler(DATA), 4, drop_last=False)),
    "batch sampler with a generator": lambda: DataLoader(
        DATA, batch_sampler=BatchSampler(RandomSampler(DATA, generator=generator()), 4, drop_last=False)
    ),
    "batches as samples with a generator": lambda: DataLoader(
        DATA, sampler=BatchSampler(RandomSampler(DATA, generator=generator()), 4, False), batch_size=None
    ),
    "own batch sampler": lambda: DataLoader(DATA, batch_sampler=Pairs()),
    "batches as samples": lambda: DataLoader(
        DATA, sampler=BatchSampler(RandomSampler(DATA), 4, False), batch_size=None
    ),
}


def dealt(loader):
    mine = private(loader, seed=7)
    return Accelerator(cpu=True).prepare(mine) if accelerate_deals(mine, 1) else mine


def order(loader, epoch):
    begin_epoch(loader, epoch)
    torch.manual_seed(100 + epoch)
    return torch.cat([batch[0] for batch in loader]).tolist()


def inside(loader):
    parts = [loader.sampler, loader.batch_sampler, getattr(loader.batch_sampler, "sampler", None), loader.generator]
    return parts, [each.get_state().tolist() for each in _generators(loader)]


@pytest.mark.parametrize("kind", LOADERS)
def test_the_users_loader_is_as_before(kind):
    loader = LOADERS[kind]()
    parts, states = inside(loader)
    mine = dealt(loader)
    order(mine, 0)
    order(mine, 1)
    found, now = inside(loader)
    assert all(was is is_now for was, is_now in zip(parts, found, strict=True))
    assert now == states


@pytest.mark.parametrize("kind", LOADERS)
def test_seed_and_epoch_decide_the_order_and_nothing_else(kind):
    mine = dealt(LOADERS[kind]())
    first = [order(mine, epoch) for epoch in range(3)]
    again = dealt(LOADERS[kind]())
    assert order(again, 2) == first[2]
    if kind not in {"in order", "subclass"}:
        assert first[0] != first[1]
    if kind != "weighted":
        assert sorted(first[0]) == list(range(24))


def test_the_order_of_a_users_sampler_is_kept():
    assert order(dealt(LOADERS["subclass"]()), 0) == list(range(23, -1, -1))


def test_a_sampler_without_end_is_not_drawn_beforehand():
    loader = DataLoader(DATA, batch_size=4, sampler=Endless())
    assert len(next(iter(dealt(loader)))[0]) == 4


def test_streams_and_plain_iterables_pass():
    assert torch.stack(list(dealt(DataLoader(Stream(), batch_size=None)))).tolist() == list(range(6))
    batches = [torch.zeros(2)]
    assert private(batches, 0) is batches
    assert not accelerate_deals(batches, 2)


def test_an_order_knows_what_accelerate_asks_a_batch_sampler():
    own = SeededOrder(Pairs(), seed=0)
    assert (own.batch_size, own.drop_last, len(own)) == (2, False, 12)
    with pytest.raises(AttributeError):
        _ = own.nothing


@pytest.mark.parametrize("kind", LOADERS)
def test_a_look_at_the_first_batches_moves_no_generator(kind):
    loader = LOADERS[kind]()
    before = inside(loader)[1]
    first_batches(loader, lambda raw: Batch(raw[0]), 2)
    assert inside(loader)[1] == before
