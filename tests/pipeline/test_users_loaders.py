"""Loaders of every kind: they are given back as they were, and a training that is resumed equals one that is not."""

import os
import signal

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, RandomSampler, WeightedRandomSampler

import limbeck
from limbeck.training import Candidate, Interrupted
from tests.toys import conv_net, images, pair, trained

OPTIONS = {"lr": 0.01, "progress": False}


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(0)
    return trained(conv_net(8))


class Backwards(DataLoader):
    """A loader with an __iter__ of its own."""

    def __iter__(self):
        return reversed(list(super().__iter__()))


class Stream(IterableDataset):
    """Yields the images that are this worker's."""

    def __init__(self, data):
        self.data = data

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return iter([self.data[place] for place in range(first, len(self.data), step)])


def by_sampler(data, order):
    return DataLoader(data, batch_size=16, sampler=RandomSampler(data, generator=order))


def shuffled(data, order):
    return DataLoader(data, batch_size=16, shuffle=True, generator=order)


def by_batch_sampler(data, order):
    return DataLoader(data, batch_sampler=BatchSampler(RandomSampler(data, generator=order), 16, drop_last=False))


def by_weights(data, order):
    return DataLoader(data, batch_size=16, sampler=WeightedRandomSampler([1.0] * len(data), len(data), generator=order))


def with_an_own_iter(data, order):
    return Backwards(data, batch_size=16, shuffle=True, generator=order)


def with_workers_that_stay(data, order):
    return DataLoader(
        data, batch_size=16, shuffle=True, generator=order, num_workers=2, persistent_workers=True, drop_last=True
    )


def stream(data, order):
    return DataLoader(Stream(data), batch_size=16, generator=order)


def stream_of_workers(data, order):
    return DataLoader(Stream(data), batch_size=16, generator=order, num_workers=2)


LOADERS = [by_sampler, shuffled, by_batch_sampler, by_weights, with_an_own_iter, stream]
SLOW = [pytest.param(each, marks=pytest.mark.slow) for each in (with_workers_that_stay, stream_of_workers)]


def generator(seed=3):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("made", [*LOADERS, *SLOW])
def test_generators_and_workers_of_the_user_are_as_they_were(made, validated, teacher):
    mine, held = generator(), generator()
    loader = made(images(96), mine)
    validation = made(images(60, seed=5), held) if validated else None
    before = mine.get_state(), held.get_state()
    limbeck.distill(teacher, conv_net(3), loader, validation=validation, steps=8, **OPTIONS)
    assert torch.equal(mine.get_state(), before[0])
    assert torch.equal(held.get_state(), before[1])
    assert all(each is None or each._iterator is None for each in (loader, validation))


@pytest.mark.parametrize("made", [*LOADERS, *SLOW])
def test_a_resumed_training_equals_an_uninterrupted_one(made, teacher, tmp_path, monkeypatch):
    def distilled(folder, seed=3, **options):
        student = pair()[1]
        limbeck.distill(
            teacher, student, made(images(90), generator(seed)), validation=made(images(60, seed=5), None),
            steps=16, run_dir=folder, **OPTIONS, **options,
        )  # fmt: skip
        return student.state_dict()

    whole = distilled(tmp_path / "whole")
    step, done = Candidate.step, []

    def counted(self, *args):
        done.append(1)
        if len(done) == 9:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *args)

    monkeypatch.setattr(Candidate, "step", counted)
    with pytest.raises(Interrupted, match="step 9 of 16"):
        distilled(tmp_path / "stopped")
    # A generator that stands elsewhere, as it may in another process.
    resumed = distilled(tmp_path / "stopped", seed=4, resume=True)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name
