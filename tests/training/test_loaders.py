"""What is learnt of a loader, and the share that is held out."""

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler

from limbeck.batch import adapt_batch
from limbeck.errors import DataError, RecipeError
from limbeck.recipe import Settings
from limbeck.training.length import Length
from limbeck.training.loaders import first_batches, hold_out, sample_count
from tests.toys import loader


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.randn(8, 1, 8, 8))


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


def test_streams_and_own_samplers_are_not_split():
    assert hold_out(DataLoader(Stream(), batch_size=2)) is None
    sampler = WeightedRandomSampler([1.0] * 96, 96)
    assert hold_out(DataLoader(loader().dataset, sampler=sampler)) is None
    assert sample_count(DataLoader(Stream())) is None


def test_an_empty_loader_is_an_error():
    with pytest.raises(DataError, match="at least one batch"):
        first_batches([], adapt_batch, 2)


def test_inputs_that_are_not_finite_are_an_error():
    with pytest.raises(DataError, match="NaN or infinite"):
        first_batches([(torch.tensor([[1.0, float("nan")]]), torch.tensor([0]))], adapt_batch, 1)


def test_an_iterator_that_ends_after_one_pass_is_an_error():
    with pytest.raises(DataError, match="several times"):
        first_batches((batch for batch in loader()), adapt_batch, 1)


def test_epochs_of_a_stream_are_refused():
    with pytest.raises(RecipeError, match="Give steps="):
        Length.of(Settings(epochs=2), None)
