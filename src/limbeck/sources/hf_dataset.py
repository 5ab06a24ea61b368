"""Images of Hugging Face datasets: a folder, files of parquet, or a name on the hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from limbeck.batch import LABEL_KEYS
from limbeck.errors import DataError, nearest
from limbeck.sources.data import Data
from limbeck.sources.extra import optional
from limbeck.sources.hub import brief, unreachable
from limbeck.sources.images import MEAN, STD, image_normalisation, image_transform, reading_workers
from limbeck.sources.loaders import part_loaders

_SAVED = ("dataset_dict.json", "state.json")
_PARTS = {"train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",)}


class Rows(Dataset[Any]):
    """The rows of a part as pairs of image and label, or as images where there are no labels.

    Args:
        rows: a ``datasets.Dataset``.
        image: its column of images.
        label: its column of labels, or ``None``.
        transform: makes a tensor of an image.
    """

    def __init__(self, rows: Any, *, image: str, label: str | None, transform: Any) -> None:
        self.rows = rows.select_columns([image] if label is None else [image, label])
        self.image, self.label, self.transform = image, label, transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        row = self.rows[index]
        image = self.transform(row[self.image].convert("RGB"))
        return image if self.label is None else (image, row[self.label])


def hf_dataset(
    name: str,
    *,
    batch_size: int = 32,
    seed: int = 0,
    size: int = 224,
    mean: Sequence[float | int] = MEAN,
    std: Sequence[float | int] = STD,
    workers: int | None = None,
    image: str | None = None,
    label: str | None = None,
    config: str | None = None,
) -> Data:
    """Images of a data set of Hugging Face, cut to a square and normalised; no augmentation.

    The parts are used under their usual names: ``train``, ``validation`` (``valid``, ``val``), ``test``. A data set
    without parts is all training data. Code that comes with a data set is never run.

    Args:
        name: a folder that ``save_to_disk`` wrote, a ``.parquet`` file, a folder of such files (``train-*.parquet``,
            ``test-*.parquet``) or of what else ``datasets`` reads, or a name on the hub.
        batch_size: images in a batch (32, our choice).
        seed: of the order of the training batches.
        size: side of the square in pixels; the shorter side is scaled to 8/7 of it first.
        mean: subtracted from each channel (ImageNet's).
        std: each channel is divided by it (ImageNet's).
        workers: processes that read images; by default none below 1,000 images, else up to four.
        image: the column of images; not needed if there is one.
        label: the column of labels; by default the one of classes, or one with a usual name (``label``).
        config: which configuration of a data set on the hub.

    Raises:
        DataError: if there is no such data set, it cannot be reached or read, has no training part, or a column is
            missing or of another kind.
        LimbeckError: if ``datasets`` or torchvision is not installed.
    """
    full = f"hf-dataset:{name}"
    normalisation = image_normalisation(full, mean, std)
    transform = image_transform(full, size, normalisation)
    parts = _parts(full, _loaded(full, name, config))
    training = parts["train"]
    image_column, label_column = _image_column(full, training, image), _label_column(full, training, label)
    for part, rows in parts.items():
        missing = {image_column, label_column} - {None, *rows.column_names}
        if missing:
            raise DataError(
                f"{full} must have the same columns in every part. Found no '{min(missing)}' in {part}, which has "
                f"{rows.column_names}. Name another column, or take that part away."
            )
    read = {
        part: Rows(rows, image=image_column, label=label_column, transform=transform) for part, rows in parts.items()
    }
    workers = reading_workers(len(training), workers)
    counts = ", ".join(f"{part} {len(rows)}" for part, rows in read.items())
    return Data(
        name=full,
        **part_loaders(read, batch_size=batch_size, seed=seed, workers=workers),
        classes=None if label_column is None else _classes(training, label_column),
        note=f"{name}, images '{image_column}', labels '{label_column}', {size}x{size}, no augmentation: {counts}",
        normalisation=normalisation,
    )


def _loaded(full: str, name: str, config: str | None) -> Any:
    datasets = optional("datasets", extra="data", wanted_by=full)
    path = Path(name).expanduser()
    if not path.exists() and (name.startswith(("/", ".", "~")) or name.count("/") > 1 or path.suffix):
        raise DataError(f"{full} names a folder or file. There is none at {path}. Check the path.")
    if path.is_file() and path.suffix != ".parquet":
        raise DataError(f"{full} must be a folder, a .parquet file or a name on the hub. Found the file {path.name}.")
    if config is not None and path.exists():
        raise DataError(f"{full} is on this disk. The option config is for a name on the hub. Leave it out.")
    try:
        if path.is_file():
            return datasets.load_dataset("parquet", data_files=str(path))
        if any((path / saved).is_file() for saved in _SAVED):
            return datasets.load_from_disk(str(path))
        return datasets.load_dataset(str(path) if path.is_dir() else name, config)
    except Exception as error:
        if path.exists():
            raise DataError(
                f"{full} must hold what datasets.load_from_disk or load_dataset reads. Found otherwise "
                f"({brief(error)}). Write it with save_to_disk(FOLDER), or as train-0.parquet, test-0.parquet."
            ) from error
        verdict = "the hub could not be reached" if unreachable(error) else "it could not be loaded"
        raise DataError(
            f"{full} is a name on the hub, and {verdict} ({brief(error)}). Check name and config, or give a folder "
            "that save_to_disk wrote on a machine that reaches the hub."
        ) from error


def _parts(full: str, loaded: Any) -> dict[str, Any]:
    parts = loaded if isinstance(loaded, Mapping) else {"train": loaded}
    found = {part: next((parts[name] for name in names if name in parts), None) for part, names in _PARTS.items()}
    if found["train"] is None:
        raise DataError(f"{full} needs a part 'train'. Found {sorted(parts)}. Rename the part to train on.")
    if not len(found["train"]):
        raise DataError(f"{full} needs rows in its part 'train'. Found none.")
    return {part: rows for part, rows in found.items() if rows is not None}


def _image_column(full: str, rows: Any, asked: str | None) -> str:
    images = [column for column, kind in rows.features.items() if type(kind).__name__ == "Image"]
    if asked is None and len(images) == 1:
        return images[0]
    if asked in images:
        return str(asked)
    wanted = "a column of images" if asked is None else f"images in the column '{asked}'"
    advice = (
        "Name one of these: --data-option image=COLUMN."
        if images
        else (
            "Cast one (rows.cast_column('image', datasets.Image())), or make the loader in a factory: path.py:factory."
        )
    )
    raise DataError(f"{full} needs {wanted}. Found the columns {_kinds(rows)}, images in {images or 'none'}. {advice}")


def _label_column(full: str, rows: Any, asked: str | None) -> str | None:
    classes = [column for column, kind in rows.features.items() if type(kind).__name__ == "ClassLabel"]
    usual = [column for column in LABEL_KEYS if column in rows.column_names]
    if asked is None and len(classes) > 1 and not set(usual) & set(classes):
        raise DataError(
            f"{full} has several columns of classes: {classes}. Say which is to be learnt: --data-option label=COLUMN."
        )
    column = asked or next((each for each in usual if each in classes), None) or next(iter([*classes, *usual]), None)
    if column is None:
        return None
    if column not in rows.column_names:
        raise DataError(f"{full} has no column '{column}'. {nearest(column, rows.column_names)}")
    if column not in classes and "int" not in str(getattr(rows.features[column], "dtype", "")):
        raise DataError(
            f"{full} needs labels that are numbers of classes. Found that the column '{column}' holds "
            f"{_kinds(rows)[column]}. Number them with rows.class_encode_column('{column}')."
        )
    return column


def _classes(rows: Any, column: str) -> int:
    named = getattr(rows.features[column], "num_classes", None)
    return int(named) if named is not None else max(rows[column]) + 1


def _kinds(rows: Any) -> dict[str, str]:
    return {column: str(getattr(kind, "dtype", type(kind).__name__)) for column, kind in rows.features.items()}
