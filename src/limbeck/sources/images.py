"""What all images from files have in common: they are cut to a square and normalised, and many are read by workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from limbeck.errors import DataError, ModelError
from limbeck.sources.extra import optional
from limbeck.teachers.renormalised import Normalisation

# ImageNet's, as timm and torchvision publish them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_FEW = 1_000


def image_normalisation(full: str, mean: Sequence[float | int], std: Sequence[float | int]) -> Normalisation:
    """The normalisation that the options ``mean`` and ``std`` of a data set stand for.

    Raises:
        DataError: if they are not three numbers each, or a deviation is not positive.
    """
    try:
        found = Normalisation.of(mean, std)
    except ModelError as error:
        raise DataError(f"{full}: {error}") from error
    if len(found.mean) != 3:
        raise DataError(f"{full} reads images in three colours. Found a mean of {len(found.mean)} numbers. Give three.")
    return found


def image_transform(full: str, size: int, normalisation: Normalisation) -> Callable[[Any], Any]:
    """What makes a tensor ``[3, size, size]`` of an image of Pillow; no augmentation.

    The shorter side is scaled to 8/7 of ``size``, then the centre is cut out (224 and 256, as torchvision evaluates).

    Raises:
        LimbeckError: if torchvision is not installed.
    """
    transforms = optional("torchvision.transforms", extra="vision", wanted_by=full)
    return transforms.Compose(
        [
            transforms.Resize(round(size * 8 / 7)),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(*normalisation),
        ]
    )


def reading_workers(images: int, asked: int | None) -> int:
    """How many processes read images: as asked for; by default none below 1,000 images, else up to four (our choice).

    Example:
        >>> reading_workers(999, None), reading_workers(999, 2)
        (0, 2)
    """
    if asked is not None:
        return asked
    return 0 if images < _FEW else min(4, (os.cpu_count() or 2) // 2)
