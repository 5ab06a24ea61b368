"""What students that train side by side share of a batch, and what each of them has for itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from accelerate import Accelerator
from torch import Tensor

from limbeck.batch import Batch, map_tensors
from limbeck.capture.capture import Captured
from limbeck.randomness import seed_place
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.reading import read
from limbeck.training.stepping import autocast


def drawn(
    loader: Iterable[Any], seed: int, epoch: int, rank: int, *, name: str = "training"
) -> Iterator[tuple[int, Any]]:
    """Every batch of a pass with its number, drawn from generators that seed, epoch and number decide."""
    seed_place(seed, epoch, 0, rank)
    iterator, index = read(loader, name), 0
    while True:
        seed_place(seed, epoch, 2 * index + 1, rank)
        try:
            raw = next(iterator)
        except StopIteration:
            return
        yield index, raw
        index += 1


def seed_student(seed: int, epoch: int, index: int, rank: int) -> None:
    """Seed the generators for what a student draws on a batch, the same for each of several."""
    seed_place(seed, epoch, 2 * index + 2, rank)


def asked_once(sources: Iterable[FeatureSource | None], batch: Batch, accelerator: Accelerator) -> dict[int, Captured]:
    """What each source gives for a batch, by its ``id``; a source that stands there several times is called once."""
    different = {id(each): each for each in sources if each is not None}
    with autocast(accelerator):
        return {key: source(batch) for key, source in different.items()}


def own_copy(batch: Batch, students: int) -> Batch:
    """A batch for one of several students, whose inputs it may overwrite; the batch itself where there is only one."""
    return batch if students == 1 else batch._replace(inputs=map_tensors(batch.inputs, Tensor.clone))
