"""Handwritten digits that come with scikit-learn."""

from __future__ import annotations

import torch
from torch.utils.data import TensorDataset

from limbeck.sources.data import Data
from limbeck.sources.extra import optional
from limbeck.sources.loaders import evaluation_loader, stratified, training_loader

_TEST, _VALIDATION = 360, 180


def digits(*, batch_size: int = 64, seed: int = 0, train: int | None = None, split: int = 0) -> Data:
    """1,797 real handwritten digits of 8x8 pixels, without a download.

    The split is stratified and does not depend on ``seed``: 360 to test, 180 to validate, 1,257 to train.

    Args:
        batch_size: samples in a batch (64, our choice).
        seed: of the order of the training batches.
        train: how many of the 1,257 training samples to keep, stratified; all by default.
        split: number of the split; another number, another split.

    Raises:
        DataError: if ``train`` is below 10 or above 1,257.
        LimbeckError: if scikit-learn is not installed.

    Example:
        >>> data = digits(train=200)
        >>> images, labels = next(iter(data.train))
        >>> images.shape, len(data.train.dataset), data.classes
        (torch.Size([64, 1, 8, 8]), 200, 10)
    """
    datasets = optional("sklearn.datasets", extra="demo", wanted_by="digits")
    raw = datasets.load_digits()
    images = torch.from_numpy(raw.images).float().div(16.0).unsqueeze(1)
    labels = torch.from_numpy(raw.target).long()
    rest = torch.arange(len(labels))
    test, rest = _taken(labels, rest, _TEST, split)
    validation, rest = _taken(labels, rest, _VALIDATION, split)
    if train is not None:
        rest, _ = _taken(labels, rest, train, split)
    return Data(
        name="digits",
        train=training_loader(TensorDataset(images[rest], labels[rest]), batch_size=batch_size, seed=seed),
        validation=evaluation_loader(TensorDataset(images[validation], labels[validation]), batch_size=batch_size),
        test=evaluation_loader(TensorDataset(images[test], labels[test]), batch_size=batch_size),
        classes=10,
        note=f"handwritten digits of scikit-learn, 8x8: {len(rest)} to train, {len(validation)} to validate, "
        f"{len(test)} to test, stratified, split {split}",
    )


def _taken(labels: torch.Tensor, places: torch.Tensor, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    inside = torch.zeros(len(places), dtype=torch.bool)
    inside[stratified(labels[places].tolist(), count, seed=seed)] = True
    return places[inside], places[~inside]
