import numpy as np
import pytest
import torch
from PIL import Image

from limbeck.cache.keying import key_loaders
from limbeck.errors import DataError
from limbeck.sources import load_data

datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def nothing_outside_the_test(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()


def made(count=6, seed=0, **columns):
    pixels = np.random.default_rng(seed).integers(0, 255, (count, 20, 30, 3), dtype=np.uint8)
    rows = {"image": list(map(Image.fromarray, pixels)), "label": [place % 2 for place in range(count)], **columns}
    return datasets.Dataset.from_dict(rows).cast_column("label", datasets.ClassLabel(names=["cat", "dog"]))


def labels(loader):
    return torch.cat([each for _, each in loader])


def test_a_saved_folder_with_parts_keeps_them(tmp_path):
    parts = {"train": made(7), "val": made(4, 1), "test": made(2, 2)}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "photos")
    data = load_data(f"hf-dataset:{tmp_path}/photos", batch_size=4, options={"size": 14})
    images, targets = next(iter(data.train))
    assert (images.shape, targets.dtype) == ((4, 3, 14, 14), torch.int64)
    assert [len(labels(loader)) for loader in (data.train, data.validation, data.test)] == [7, 4, 2]
    assert data.classes == 2
    assert data.note.endswith("train 7, validation 4, test 2")


def test_a_saved_folder_without_parts_is_all_training_data(tmp_path):
    made().save_to_disk(tmp_path / "photos")
    data = load_data(f"hf-dataset:{tmp_path}/photos", options={"size": 14})
    assert labels(data.train).bincount().tolist() == [3, 3]
    assert (data.validation, data.test) == (None, None)


def test_parquet_files_are_read_one_by_one_or_by_the_folder(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    made(6).to_parquet(folder / "train-0.parquet")
    made(4, 1).to_parquet(folder / "test-0.parquet")
    one = load_data(f"hf-dataset:{folder}/train-0.parquet", options={"size": 14})
    both = load_data(f"hf-dataset:{folder}", options={"size": 14})
    assert (len(labels(one.train)), one.test) == (6, None)
    assert (len(labels(both.train)), len(labels(both.test))) == (6, 4)


def test_images_are_those_of_the_rows_as_they_are_normalised(tmp_path):
    rows = made(2)
    rows.save_to_disk(tmp_path / "photos")
    options = {"size": 14, "mean": [0, 0, 0], "std": [1, 1, 1]}
    plain = load_data(f"hf-dataset:{tmp_path}/photos", options=options)
    image, target = plain.train.dataset[1]
    expected = np.asarray(rows[1]["image"].resize((24, 16), Image.Resampling.BILINEAR))[1:15, 5:19]
    np.testing.assert_allclose(image.permute(1, 2, 0) * 255, expected, atol=1)
    assert target == 1
    assert plain.normalisation.mean == (0, 0, 0)


def test_samples_are_known_by_number_as_a_cache_needs_it(tmp_path):
    made().save_to_disk(tmp_path / "photos")
    data = load_data(f"hf-dataset:{tmp_path}/photos", options={"size": 14})
    assert key_loaders(data.train, None).samples == 6


def test_without_labels_there_are_images_only(tmp_path):
    made().remove_columns("label").save_to_disk(tmp_path / "photos")
    data = load_data(f"hf-dataset:{tmp_path}/photos", options={"size": 14})
    assert next(iter(data.train)).shape == (6, 3, 14, 14)
    assert data.classes is None


def test_plain_numbers_are_labels_and_are_counted(tmp_path):
    made(kind=[0, 1, 2] * 2).save_to_disk(tmp_path / "photos")
    data = load_data(f"hf-dataset:{tmp_path}/photos", options={"size": 14, "label": "kind"})
    assert (labels(data.train).unique().tolist(), data.classes) == ([0, 1, 2], 3)


def test_columns_that_cannot_be_used_are_named(tmp_path):
    rows = made(name=list("abcdef"), other=made(6, 1)["image"])
    rows.save_to_disk(tmp_path / "photos")
    name = f"hf-dataset:{tmp_path}/photos"
    with pytest.raises(DataError, match=r"images in \['image', 'other'\]\. Name one"):
        load_data(name)
    with pytest.raises(DataError, match=r"no column 'lable'\. Nearest: 'label'"):
        load_data(name, options={"image": "image", "label": "lable"})
    with pytest.raises(DataError, match=r"'name' holds string\. Number them"):
        load_data(name, options={"image": "image", "label": "name"})
    made().remove_columns("image").save_to_disk(tmp_path / "bare")
    with pytest.raises(DataError, match="images in none"):
        load_data(f"hf-dataset:{tmp_path}/bare")


def test_what_is_not_there_and_what_is_no_data_set_are_told_apart(tmp_path):
    with pytest.raises(DataError, match="There is none at /no/where"):
        load_data("hf-dataset:/no/where")
    (tmp_path / "note.txt").write_text("x")
    with pytest.raises(DataError, match=r"Found the file note\.txt"):
        load_data(f"hf-dataset:{tmp_path}/note.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="must hold what datasets"):
        load_data(f"hf-dataset:{tmp_path}/empty")
    with pytest.raises(DataError, match="a name on the hub, and the hub could not be reached"):
        load_data("hf-dataset:nobody/photos")
    datasets.DatasetDict({"unsupervised": made()}).save_to_disk(tmp_path / "other")
    with pytest.raises(DataError, match=r"needs a part 'train'\. Found \['unsupervised'\]"):
        load_data(f"hf-dataset:{tmp_path}/other")
