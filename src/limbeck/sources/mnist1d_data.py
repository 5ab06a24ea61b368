"""MNIST-1D: ten digits as one-dimensional series, generated."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import TensorDataset

from limbeck.sources.data import Data
from limbeck.sources.extra import optional
from limbeck.sources.loaders import evaluation_loader, stratified, training_loader

_VALIDATION = 1_000


def mnist1d(*, batch_size: int = 128, seed: int = 0, train: int | None = None) -> Data:
    """The standard MNIST-1D: 4,000 series of 40 values to train, 1,000 to test; 1,000 more, generated, to validate.

    From "Scaling Down Deep Learning with MNIST-1D" (Greydanus & Kobak, ICML 2024), https://arxiv.org/abs/2011.14439.

    Args:
        batch_size: samples in a batch (128, our choice).
        seed: of the order of the training batches; the series are always the same.
        train: how many of the 4,000 training series to keep, stratified; all by default.

    Raises:
        DataError: if ``train`` is below 10 or above 4,000.
        LimbeckError: if mnist1d is not installed.
    """
    package = optional("mnist1d.data", extra="demo", wanted_by="mnist1d")
    settings = package.get_dataset_args()
    with _global_seeds_kept():
        made = package.make_dataset(settings)
        # The standard set has no validation part. Another seed of the generator gives fresh series of the same kind.
        settings.seed += 1
        settings.num_samples, settings.train_split = _VALIDATION, 1.0
        more = package.make_dataset(settings)
    places = None if train is None else stratified(made["y"].tolist(), train, seed=0)
    training = _dataset(made["x"], made["y"], places)
    return Data(
        name="mnist1d",
        train=training_loader(training, batch_size=batch_size, seed=seed),
        validation=evaluation_loader(_dataset(more["x"], more["y"]), batch_size=batch_size),
        test=evaluation_loader(_dataset(made["x_test"], made["y_test"]), batch_size=batch_size),
        classes=10,
        note=f"MNIST-1D, series of 40: {len(training)} to train, {_VALIDATION} further generated ones to validate, "
        f"{len(made['y_test'])} to test",
    )


def _dataset(series: Any, labels: Any, places: list[int] | None = None) -> TensorDataset:
    x, y = torch.from_numpy(series).float().unsqueeze(1), torch.from_numpy(labels).long()
    return TensorDataset(x, y) if places is None else TensorDataset(x[places], y[places])


@contextlib.contextmanager
def _global_seeds_kept() -> Iterator[None]:
    # The generator of mnist1d seeds Python, numpy and torch for the whole process.
    numpy = optional("numpy", extra="demo", wanted_by="mnist1d")
    python_state, numpy_state, torch_state = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        numpy.random.set_state(numpy_state)
        torch.set_rng_state(torch_state)
