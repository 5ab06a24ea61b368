import pytest
import torch
from torch.utils.data import DataLoader, Subset, TensorDataset

from limbeck.cache.keying import key_loaders
from limbeck.errors import DataError
from tests.cache.test_keyed import Augmented, Cutting, Own, read


def plain(count=12):
    return TensorDataset(torch.arange(float(count)), torch.zeros(count))


def scaled(items):
    return torch.stack([each for each, _ in items]) * 2, torch.zeros(len(items))


def test_data_sets_share_no_number_and_parts_of_one_do():
    data = plain()
    parts = key_loaders(DataLoader(Subset(data, range(8))), DataLoader(Subset(data, range(8, 12))))
    assert list(parts.of_data) == ["training"]
    others = key_loaders(DataLoader(data), DataLoader(plain(5)))
    assert list(others.of_data) == ["training", "validation"]
    assert sorted(read(others.validation)) == [(number, 0) for number in range(12, 17)]


def test_random_validation_data_of_another_data_set_are_seeded_by_the_key():
    loaders = [key_loaders(DataLoader(plain(5)), DataLoader(Augmented())).validation for _ in range(2)]
    first, second = (read(each) for each in loaders)
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_validation_data_with_a_generator_of_their_own_are_refused():
    with pytest.raises(DataError, match="generator of its own"):
        key_loaders(DataLoader(plain()), DataLoader(Own(torch.Generator())))


def test_the_same_samples_collated_in_another_way_are_other_samples():
    data = plain()
    loaders = key_loaders(DataLoader(data), DataLoader(data, collate_fn=scaled))
    assert list(loaders.of_data) == ["training", "validation"]


def test_validation_data_whose_samples_are_not_known_are_named_in_the_choice():
    loaders = key_loaders(DataLoader(plain()), Cutting(plain()))
    assert "validation data are not known, as the loader is a Cutting" in loaders.choice.reason
    assert list(loaders.of_data) == ["training"]
