import random
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from limbeck.errors import DataError
from limbeck.sources import load_data
from limbeck.sources.mnist1d_data import _global_seeds_kept


@pytest.fixture(autouse=True)
def same_path_afterwards(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def samples(loader):
    return {sample.numpy().tobytes() for images, _ in loader for sample in images}


def labels(loader):
    return torch.cat([each for _, each in loader])


def test_digits_are_scaled_images_in_three_parts_without_overlap():
    data = load_data("digits")
    images, targets = next(iter(data.train))
    assert images.shape == (64, 1, 8, 8)
    assert images.dtype == torch.float32
    assert targets.dtype == torch.int64
    assert (images.min(), images.max()) == (0.0, 1.0)
    parts = [samples(loader) for loader in (data.train, data.validation, data.test)]
    # scikit-learn's 1,797 digits are all different.
    assert [len(part) for part in parts] == [1257, 180, 360]
    assert len(set.union(*parts)) == 1797


def test_every_class_of_digits_is_as_frequent_in_each_part():
    data = load_data("digits")
    shares = [labels(loader).bincount() / len(labels(loader)) for loader in (data.train, data.validation, data.test)]
    assert all((share - shares[0]).abs().max() < 0.01 for share in shares)


def test_few_digits_to_train_on_are_stratified_and_leave_the_other_parts_alone():
    few, all_of_them = load_data("digits", options={"train": 200}), load_data("digits")
    counts = labels(few.train).bincount()
    assert counts.sum() == 200
    assert counts.min() >= 19
    assert samples(few.train) < samples(all_of_them.train)
    assert samples(few.test) == samples(all_of_them.test)


def test_the_seed_orders_the_batches_and_does_not_move_the_split():
    first, again, other = (load_data("digits", seed=seed) for seed in (1, 1, 2))
    torch.manual_seed(99)
    batches = [labels(data.train) for data in (first, again, other)]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])
    assert samples(first.train) == samples(other.train)
    assert not torch.equal(labels(first.train), batches[0]), "the second epoch has the order of the first"


def test_another_split_holds_other_samples_out():
    assert samples(load_data("digits").test) != samples(load_data("digits", options={"split": 1}).test)


@pytest.mark.parametrize("count", [9, 1258])
def test_a_training_share_that_cannot_be_had_is_refused(count):
    with pytest.raises(DataError, match=f"Found {count}"):
        load_data("digits", options={"train": count})


def test_a_last_batch_of_one_sample_is_left_out_of_training_only():
    data = load_data("digits", batch_size=179, options={"train": 180})
    assert [len(targets) for _, targets in data.train] == [179]
    assert [len(targets) for _, targets in data.validation] == [179, 1]


def test_mnist1d_is_the_standard_set_with_a_validation_part_of_its_own():
    from mnist1d.data import get_dataset_args, make_dataset

    np.random.seed(5)
    torch.manual_seed(5)
    expected = [np.random.rand(), torch.rand(()).item()]
    np.random.seed(5)
    torch.manual_seed(5)
    data = load_data("mnist1d", options={"train": 100})
    # Loading must leave the random numbers of the process as they were.
    assert [np.random.rand(), torch.rand(()).item()] == expected
    series, _ = next(iter(data.train))
    assert series.shape == (100, 1, 40)
    assert labels(data.train).bincount().tolist() == pytest.approx([10] * 10, abs=1)
    standard = make_dataset(get_dataset_args())
    found = torch.cat([series for series, _ in data.test]).squeeze(1)
    torch.testing.assert_close(found, torch.from_numpy(standard["x_test"]).float())
    assert len(labels(data.validation)) == 1000
    assert not samples(data.validation) & samples(data.test)


def test_generating_series_leaves_the_random_numbers_of_python_alone():
    # Not through load_data: the run-time type checks of this test suite draw from the same generator.
    before = random.getstate()
    with _global_seeds_kept():
        random.seed(42)
    assert random.getstate() == before


def test_an_unknown_name_and_an_unknown_option_are_answered_with_near_ones():
    with pytest.raises(DataError, match="Nearest: 'digits'"):
        load_data("digit")
    with pytest.raises(DataError, match=r"no option 'trian'\. Nearest: 'train'"):
        load_data("digits", options={"trian": 5})
    with pytest.raises(DataError, match=r"at least 1\. Found 0"):
        load_data("digits", batch_size=0)


@pytest.fixture
def write_images(tmp_path):
    def write(parts, classes=("cat", "dog"), count=3):
        generator = np.random.default_rng(0)
        for part in parts:
            for kind in classes:
                (tmp_path / part / kind).mkdir(parents=True)
                for number in range(count):
                    pixels = generator.integers(0, 255, (20, 30, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(tmp_path / part / kind / f"{number}.png")
        return tmp_path

    return write


def test_an_image_folder_with_parts_keeps_them(write_images):
    folder = write_images(["train", "val", "test"])
    data = load_data(f"imagefolder:{folder}", batch_size=4, options={"size": 14})
    images, _ = next(iter(data.train))
    assert images.shape == (4, 3, 14, 14)
    assert [len(labels(loader)) for loader in (data.train, data.validation, data.test)] == [6, 6, 6]
    assert data.classes == 2


def test_images_are_normalised_as_asked_for(write_images):
    folder = write_images(["train"])
    plain = load_data(f"imagefolder:{folder}", options={"size": 14, "mean": [0, 0, 0], "std": [1, 1, 1]})
    shifted = load_data(f"imagefolder:{folder}", options={"size": 14, "mean": [0.5, 0, 0], "std": [0.25, 1, 1]})
    (raw, _), (changed, _) = next(iter(plain.train)), next(iter(shifted.train))
    torch.testing.assert_close(changed[:, 0], (raw[:, 0] - 0.5) / 0.25)
    torch.testing.assert_close(changed[:, 1:], raw[:, 1:])


def test_an_image_folder_without_parts_is_split_the_same_way_every_time(write_images):
    folder = write_images([""], count=20)
    first, again = (load_data(f"imagefolder:{folder}", seed=seed, options={"size": 14}) for seed in (0, 1))
    parts = [samples(loader) for loader in (first.train, first.validation, first.test)]
    assert [len(part) for part in parts] == [32, 4, 4]
    assert len(set.union(*parts)) == 40
    assert labels(first.test).bincount().tolist() == [2, 2]
    assert samples(again.test) == parts[2]


def test_parts_with_different_class_folders_are_refused(write_images, tmp_path):
    write_images(["train", "val"])
    (tmp_path / "val" / "dog").rename(tmp_path / "val" / "eel")
    with pytest.raises(DataError, match=r"train and validation differ in \['dog', 'eel'\]"):
        load_data(f"imagefolder:{tmp_path}")


def test_image_folders_that_hold_too_little_are_refused(write_images, tmp_path):
    with pytest.raises(DataError, match="There is none"):
        load_data(f"imagefolder:{tmp_path / 'nothing'}")
    with pytest.raises(DataError, match="one folder per class"):
        load_data(f"imagefolder:{tmp_path}")
    with pytest.raises(DataError, match="too few"):
        load_data(f"imagefolder:{write_images([''])}")


FACTORY = """
import torch
from torch.utils.data import DataLoader, TensorDataset
from limbeck.sources import Data

numbers = TensorDataset(torch.arange(20.0).unsqueeze(1), torch.arange(20) % 2)

def dataset(): return numbers
def loader(): return DataLoader(numbers, batch_size=5)
def sized(batch_size, seed): return DataLoader(numbers, batch_size=batch_size + seed)
def pair(): return numbers, DataLoader(numbers, batch_size=6)
def triple(): return numbers, None, numbers
def ready(): return Data("mine", DataLoader(numbers), classes=2)
def batches(): return [(torch.zeros(2, 1), torch.zeros(2))]
def iterator(): return iter([1, 2])
def word(): return "digits"
def number(): return 5
def four(): return 1, 2, 3, 4
def broken(): raise KeyError("column")
"""


@pytest.fixture
def factory(tmp_path):
    (tmp_path / "mine.py").write_text(FACTORY)
    return lambda name: f"{tmp_path / 'mine.py'}:{name}"


def sizes(loader):
    return [len(targets) for _, targets in loader]


def test_a_factory_may_return_a_dataset_which_is_batched_and_shuffled_by_seed(factory):
    data = load_data(factory("dataset"), batch_size=8, seed=3)
    assert sizes(data.train) == [8, 8, 4]
    assert torch.equal(
        labels(load_data(factory("dataset"), seed=3).train), labels(load_data(factory("dataset"), seed=3).train)
    )
    assert data.validation is None


def test_a_factory_may_return_a_loader_a_pair_a_triple_or_data(factory):
    assert sizes(load_data(factory("loader")).train) == [5, 5, 5, 5]
    pair = load_data(factory("pair"), seed=1)
    assert sizes(pair.validation) == [6, 6, 6, 2]
    assert pair.test is None
    triple = load_data(factory("triple"))
    assert triple.validation is None
    assert isinstance(triple.test, DataLoader)
    assert load_data(factory("ready")).name == "mine"
    assert len(list(load_data(factory("batches")).train)) == 1


def test_a_factory_that_takes_batch_size_and_seed_is_given_them(factory):
    assert sizes(load_data(factory("sized"), batch_size=9, seed=1).train) == [10, 10]


@pytest.mark.parametrize("name", ["loader", "ready", "pair"])
def test_a_batch_size_that_would_be_ignored_is_refused(factory, name):
    with pytest.raises(DataError, match="must take a parameter batch_size"):
        load_data(factory(name), batch_size=8)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("iterator", "Found a list_iterator, which is empty after the first"),
        ("word", "Found str"),
        ("number", "Found int"),
        ("four", "Found a tuple of 4"),
        ("broken", "failed: KeyError: 'column'"),
        ("nothing", "needs the name 'nothing'"),
    ],
)
def test_what_is_wrong_with_a_data_factory_is_said(factory, name, complaint):
    with pytest.raises(DataError, match=complaint):
        load_data(factory(name))
