"""What is learnt of a loader, and samples from all over it."""

import pytest
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from limbeck.batch import Batch, adapt_batch
from limbeck.errors import DataError, RecipeError
from limbeck.recipe import Settings
from limbeck.training.length import Length
from limbeck.training.loaders import data_fault, first_batches, like, non_finite, sample_count, spread
from tests.toys import loader


class Stream(IterableDataset):
    def __iter__(self):
        return iter(torch.randn(8, 1, 8, 8))


class Counting(Dataset):
    """Sorted by class, ten classes; remembers which samples were loaded."""

    def __init__(self, count: int) -> None:
        self.count, self.loaded = count, []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, place: int):
        self.loaded.append(place)
        return torch.zeros(2), place * 10 // self.count


def test_an_empty_loader_is_an_error_that_names_the_data():
    with pytest.raises(DataError, match="training data must yield at least one batch"):
        first_batches([], adapt_batch, 2)
    with pytest.raises(DataError, match="validation data must yield"):
        first_batches([], adapt_batch, 2, name="validation")


def test_inputs_that_are_not_finite_are_an_error():
    with pytest.raises(DataError, match="training data.*1 NaN or infinite"):
        first_batches([(torch.tensor([[1.0, float("nan")]]), torch.tensor([0]))], adapt_batch, 1)


def test_an_iterator_that_ends_after_one_pass_is_an_error():
    with pytest.raises(DataError, match="several times"):
        first_batches((batch for batch in loader()), adapt_batch, 1)


@pytest.mark.parametrize(
    "data", [TensorDataset(torch.zeros(8, 2)), torch.zeros(8, 2), {"x": torch.zeros(2)}, "path", 3]
)
def test_what_yields_no_batches_is_an_error_that_shows_a_loader(data):
    with pytest.raises(DataError, match=rf"Found {type(data).__name__}.*DataLoader\(dataset"):
        first_batches(data, adapt_batch, 1)


def test_epochs_of_a_stream_are_refused():
    with pytest.raises(RecipeError, match="Give steps="):
        Length.of(Settings(epochs=2), None)


def test_samples_are_counted_as_the_sampler_draws_them():
    assert sample_count(loader(96)) == 96
    assert sample_count(DataLoader(Stream())) is None
    part = torch.utils.data.SubsetRandomSampler(range(10))
    assert sample_count(DataLoader(loader(96).dataset, sampler=part)) == 10


@pytest.mark.parametrize("options", [{"batch_size": 16}, {"batch_size": 16, "shuffle": True}, {"own": True}])
def test_few_samples_from_all_over_sorted_data_are_loaded_and_no_others(options):
    data = Counting(2000)
    if options.pop("own", False):
        options = {"batch_sampler": torch.utils.data.BatchSampler(SequentialSampler(data), 16, drop_last=False)}
    batches = list(spread(DataLoader(data, **options), adapt_batch, 200))
    labels = torch.cat([batch.targets for batch in batches])
    assert len(labels) == len(set(data.loaded)) == 200
    assert len(labels.unique()) == 10
    # Each class is a tenth of the data: 20 of 200, with a deviation of about 4.
    assert labels.bincount().min() > 6


def test_a_small_loader_is_read_whole_and_a_list_at_even_distances():
    assert sum(batch.size for batch in spread(loader(50), adapt_batch, 512)) == 50
    batches = [torch.full((4, 1), float(index)) for index in range(100)]
    seen = [int(batch.inputs[0]) for batch in spread(batches, adapt_batch, 40)]
    assert seen == list(range(0, 100, 10))


def test_of_a_stream_the_first_samples_are_used():
    assert sum(batch.size for batch in spread(DataLoader(Stream(), batch_size=2), Batch, 4)) == 4


def test_only_places_that_the_sampler_draws_are_used():
    data = Counting(100)
    part = torch.utils.data.SubsetRandomSampler(range(90, 100))
    list(spread(DataLoader(data, batch_size=4, sampler=part), adapt_batch, 512))
    assert sorted(data.loaded) == list(range(90, 100))


def test_the_generator_of_the_users_loader_stays_where_it_was():
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    data = DataLoader(loader(50).dataset, batch_size=4, shuffle=True, generator=generator)
    list(spread(data, adapt_batch, 8))
    assert torch.equal(generator.get_state(), before)


def test_a_loader_of_other_data_keeps_every_setting():
    given = DataLoader(
        loader(40).dataset,
        batch_size=4,
        num_workers=1,
        collate_fn=list,
        timeout=7,
        worker_init_fn=print,
        multiprocessing_context="spawn",
        generator=torch.Generator(),
        prefetch_factor=3,
        persistent_workers=True,
    )
    other = like(given, TensorDataset(torch.zeros(3)), batch_size=2)
    kept = (
        "num_workers", "collate_fn", "timeout", "worker_init_fn", "multiprocessing_context", "generator",
        "prefetch_factor", "persistent_workers", "pin_memory",
    )  # fmt: skip
    assert all(getattr(other, name) == getattr(given, name) for name in kept)


def test_a_sampler_of_weights_is_sampled_by_its_weights():
    data = Counting(100)
    weights = [0.0] * 50 + [1.0] * 50
    list(spread(DataLoader(data, batch_size=4, sampler=WeightedRandomSampler(weights, 100)), adapt_batch, 20))
    assert min(data.loaded) >= 50


def _fault(batch):
    return data_fault(*map(int, non_finite(batch)))


def test_what_makes_a_loss_infinite_is_looked_for_in_inputs_and_labels():
    good, bad = torch.zeros(2, 3), torch.tensor([[0.0, torch.inf, torch.nan]])
    assert _fault(Batch({"x": good}, torch.tensor([0, 1]))) is None
    assert "inputs must be finite. Found 2" in _fault(Batch({"x": good, "z": bad}, torch.tensor([0, 1])))
    assert "labels must be finite. Found 2" in _fault(Batch(good, bad))
    assert _fault(Batch(good)) is None
