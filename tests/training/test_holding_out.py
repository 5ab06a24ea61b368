"""The share of the training data that is held out."""

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, RandomSampler, Subset, TensorDataset, WeightedRandomSampler

from limbeck.training.holding_out import hold_out, why_not_held_out
from tests.toys import loader


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.randn(8, 1, 8, 8))


class OwnLoader(DataLoader):
    def __iter__(self):
        return iter([])


def test_the_two_parts_share_no_sample_and_miss_none():
    data = TensorDataset(torch.arange(100.0))
    train, held = hold_out(DataLoader(data, batch_size=7, shuffle=True, drop_last=True))
    seen = [value.item() for part in (train.dataset, held.dataset) for (value,) in part]
    assert sorted(seen) == list(range(100))
    assert len(held.dataset) == 10
    assert train.drop_last
    assert not held.drop_last


def test_the_same_seed_holds_out_the_same_samples():
    first, again, other = (hold_out(loader(), seed=seed)[1].dataset.indices for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: Subset(data, range(len(data)))])
def test_every_class_is_held_out_in_proportion_and_in_random_order(wrap):
    # Sorted by class, one class of 40 and nine of 40 samples in ten.
    labels = torch.arange(10).repeat_interleave(40)
    data = wrap(TensorDataset(torch.zeros(400, 1), labels))
    _, held = hold_out(DataLoader(data, batch_size=10))
    found = torch.stack([label for _, label in held.dataset])
    assert found.bincount().tolist() == [4] * 10
    assert not torch.equal(found, found.sort().values)


def test_labels_that_only_loading_would_show_are_held_out_at_random():
    class Hidden(torch.utils.data.Dataset):
        def __len__(self):
            return 60

        def __getitem__(self, place):
            raise AssertionError("loaded")

    train, held = hold_out(DataLoader(Hidden(), batch_size=8))
    assert (len(train.dataset), len(held.dataset)) == (54, 6)


def test_no_last_batch_holds_a_single_sample():
    # 90 to train would leave 1 behind the first 89, 10 to validate are 3 batches of 3 and 1 alone.
    for batch_size in (89, 3, 9, 44):
        train, held = hold_out(DataLoader(TensorDataset(torch.zeros(100, 1)), batch_size=batch_size))
        assert len(train.dataset) % batch_size != 1
        assert len(held.dataset) % batch_size != 1
        assert 8 <= len(held.dataset) <= 12


def test_the_reason_why_nothing_is_held_out_is_the_real_one():
    data = loader().dataset
    assert why_not_held_out(loader()) is None
    reasons = {
        "stream": DataLoader(Stream(), batch_size=2),
        r"sampler of its own \(WeightedRandomSampler\)": DataLoader(
            data, sampler=WeightedRandomSampler([1.0] * 96, 96)
        ),
        r"sampler of its own \(BatchSampler\)": DataLoader(
            data, batch_sampler=torch.utils.data.BatchSampler(RandomSampler(data), 4, drop_last=True)
        ),
        "draws a number of samples of its own": DataLoader(data, sampler=RandomSampler(data, num_samples=50)),
        "loader class of its own": OwnLoader(data, batch_size=4),
        "12 samples only": loader(12),
        "list": [next(iter(loader()))],
    }
    for reason, given in reasons.items():
        assert hold_out(given) is None
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(why_not_held_out(given))
