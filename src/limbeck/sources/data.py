"""Data ready to train on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader

from limbeck.teachers.renormalised import Normalisation


@dataclass(frozen=True)
class Data:
    """The loaders of one data set.

    Attributes:
        name: what it was asked for by.
        train: batches to train on; iterated once per epoch.
        validation: batches for early stopping and for every choice; ``None`` if there are none.
        test: batches for the final number only; ``None`` if there are none.
        classes: number of classes, ``None`` if not known or not a classification.
        note: one sentence on where the data come from and how they are split, for the report.
        normalisation: how images in [0, 1] were normalised; ``None`` if not known.
    """

    name: str
    train: Iterable[Any]
    validation: DataLoader[Any] | None = None
    test: DataLoader[Any] | None = None
    classes: int | None = None
    note: str = ""
    normalisation: Normalisation | None = None
