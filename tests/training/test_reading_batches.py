"""Data that cannot be read is named, and nothing is left behind."""

import pytest
from torch.utils.data import DataLoader, Dataset

import limbeck
from limbeck.errors import DataError
from limbeck.training.reading import read
from tests.toys import images, loader, pair


class Broken(Dataset):
    """Toy images; from ``first`` on they cannot be read."""

    def __init__(self, first, count=160):
        self.data, self.first = images(count), first

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        if index >= self.first:
            raise OSError(f"file {index} is no image")
        return self.data[index]


def batches(data):
    return DataLoader(data, batch_size=16)


@pytest.mark.parametrize("workers", [0, 1])
def test_what_a_data_set_raises_names_the_data_and_what_to_do(workers):
    data = read(DataLoader(Broken(5), batch_size=4, num_workers=workers), "validation")
    assert len(next(data)[0]) == 4
    with pytest.raises(DataError, match=r"validation data.*OSError: file 5 is no image\. Repair or remove"):
        next(data)


def test_what_the_reader_of_the_batches_raises_is_its_own():
    def use():
        for _ in read([1, 2]):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        use()


OPTIONS = {"steps": 30, "lr": 0.01, "check_teacher": False, "progress": False}
PARTS = {
    "the first batch": (Broken(0), images(), "training"),
    "a later batch": (Broken(150), images(), "training"),
    "validation": (images(), Broken(0), "validation"),
    "a later batch of validation": (images(), Broken(150), "validation"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_run_on_data_that_cannot_be_read_ends_with_an_error_and_leaves_no_empty_folder(part, tmp_path):
    train, held, name = PARTS[part]
    run = tmp_path / "run"
    with pytest.raises(DataError, match=f"The {name} data must be readable.*OSError: file"):
        limbeck.distill(*pair(), batches(train), validation=batches(held), run_dir=run, **OPTIONS)
    # What was begun is there to be looked at.
    assert run.exists() == part.startswith("a later batch")


def test_the_teacher_check_names_data_that_it_cannot_read():
    with pytest.raises(DataError, match="The labelled data must be readable"):
        limbeck.distill(*pair(), batches(Broken(150)), validation=loader(16), **{**OPTIONS, "check_teacher": True})


def test_a_folder_that_was_there_stays(tmp_path):
    with pytest.raises(DataError):
        limbeck.distill(*pair(), batches(Broken(0)), run_dir=tmp_path, **OPTIONS)
    assert tmp_path.is_dir()
