"""Images in one folder per class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch.utils.data import Subset

from limbeck.errors import DataError
from limbeck.sources.data import Data
from limbeck.sources.extra import optional
from limbeck.sources.hub import brief
from limbeck.sources.images import MEAN, STD, image_normalisation, image_transform, reading_workers
from limbeck.sources.loaders import part_loaders, stratified

_HELD_OUT = 0.1


def image_folder(
    path: Path | str,
    *,
    batch_size: int = 32,
    seed: int = 0,
    size: int = 224,
    mean: Sequence[float | int] = MEAN,
    std: Sequence[float | int] = STD,
    workers: int | None = None,
) -> Data:
    """Images in one folder per class, cut to a square and normalised; no augmentation.

    With a folder ``train``, the folders ``val`` (or ``validation``) and ``test`` beside it are used where they exist.
    Without one, the class folders are split, stratified and always in the same way: 10 % to validate, 10 % to test.

    Args:
        path: the folder.
        batch_size: images in a batch (32, our choice).
        seed: of the order of the training batches.
        size: side of the square in pixels; the shorter side is scaled to 8/7 of it, then the centre is cut out (224 and
            256, as torchvision evaluates).
        mean: subtracted from each channel (ImageNet's, as timm and torchvision publish it).
        std: each channel is divided by it (ImageNet's).
        workers: processes that read images; by default none below 1,000 images, else up to four.

    Raises:
        DataError: if there is no such folder, it holds no images, or the parts differ in their classes.
        LimbeckError: if torchvision is not installed.
    """
    folder = Path(path).expanduser()
    full = f"imagefolder:{path}"
    if not folder.is_dir():
        raise DataError(f"{full} needs a folder. There is none at {folder}. Check the path.")
    normalisation = image_normalisation(full, mean, std)
    transform = image_transform(full, size, normalisation)
    if not (folder / "train").is_dir():
        return replace(
            _split(full, _read(full, folder, transform), batch_size, seed, workers), normalisation=normalisation
        )
    parts = {
        "train": folder / "train",
        "validation": next(
            (folder / name for name in ("val", "validation", "valid") if (folder / name).is_dir()), None
        ),
        "test": folder / "test" if (folder / "test").is_dir() else None,
    }
    read = {part: _read(full, where, transform) for part, where in parts.items() if where is not None}
    training = read["train"]
    for part, images in read.items():
        if images.classes != training.classes:
            odd = sorted(set(images.classes) ^ set(training.classes))
            raise DataError(
                f"{full} must have the same class folders in every part. Found that train and {part} differ in "
                f"{odd[:3]}. Add the missing folders or take the others away."
            )
    workers = reading_workers(len(training), workers)
    counts = ", ".join(f"{len(images)} to {verb}" for verb, images in _verbs(read))
    return Data(
        name=full,
        **part_loaders(read, batch_size=batch_size, seed=seed, workers=workers),
        classes=len(training.classes),
        note=f"images in {folder}, {size}x{size}, no augmentation: {counts}, as the folders say",
        normalisation=normalisation,
    )


def _split(full: str, images: Any, batch_size: int, seed: int, workers: int | None) -> Data:
    count = round(_HELD_OUT * len(images))
    classes = len(images.classes)
    if count < classes:
        raise DataError(
            f"{full} has no folder train, so {_HELD_OUT:.0%} are held out twice. Found {len(images)} images of "
            f"{classes} classes, which is too few for one of each class. Add images, or split them by hand into train, "
            "val and test."
        )
    everything = list(range(len(images)))
    test = set(stratified(images.targets, count, seed=0))
    rest = [place for place in everything if place not in test]
    held = {rest[place] for place in stratified([images.targets[place] for place in rest], count, seed=0)}
    training = [place for place in rest if place not in held]
    places = {"train": training, "validation": sorted(held), "test": sorted(test)}
    parts = {part: Subset(images, each) for part, each in places.items()}
    workers = reading_workers(len(training), workers)
    return Data(
        name=full,
        **part_loaders(parts, batch_size=batch_size, seed=seed, workers=workers),
        classes=classes,
        note=f"images in {images.root}, no augmentation: {len(training)} to train, {count} to validate, {count} to "
        "test, stratified by limbeck",
    )


def _read(full: str, folder: Path, transform: Any) -> Any:
    datasets = optional("torchvision.datasets", extra="vision", wanted_by=full)
    try:
        return datasets.ImageFolder(folder, transform)
    except (FileNotFoundError, OSError) as error:
        raise DataError(
            f"{full} needs images in one folder per class, as {folder}/CLASS/IMAGE. Found otherwise ({brief(error)}). "
            "Arrange them so."
        ) from error


def _verbs(read: dict[str, Any]) -> list[tuple[str, Any]]:
    verbs = {"train": "train", "validation": "validate", "test": "test"}
    return [(verbs[part], images) for part, images in read.items()]
