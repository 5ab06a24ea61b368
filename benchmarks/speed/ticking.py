"""A loader that notes when each batch is asked for and when it is handed over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import DataLoader, Dataset

# The first step builds the optimizer's state, and accelerate fetches one batch ahead.
UNTIMED = 2


class Durations(NamedTuple):
    """Seconds of each step: on the clock, and of this process's own work."""

    wall: np.ndarray
    cpu: np.ndarray


class Clock:
    """Times of a pass: a step lasts from the hand-over of its batch until the next one is asked for.

    So everything that a loop does counts, and what reading the data takes does not, which is the same for all.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[float, float]] = []
        self.given: list[tuple[float, float]] = []

    def ask(self) -> None:
        """A batch is wanted."""
        self.asked.append((time.perf_counter(), time.process_time()))

    def give(self) -> None:
        """The batch is complete."""
        self.given.append((time.perf_counter(), time.process_time()))

    def read(self) -> Durations:
        """The steps since the last reading, the first two left out."""
        seconds = np.array(self.asked[1:]) - np.array(self.given[: len(self.asked) - 1])
        self.asked.clear()
        self.given.clear()
        return Durations(*seconds[UNTIMED:].T)


class Numbers(Dataset[int]):
    """The numbers of the samples; what they stand for is gathered in one piece by :class:`Gather`."""

    def __init__(self, count: int, clock: Clock) -> None:
        self.count, self.clock = count, clock

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> int:
        return index

    def __getitems__(self, indices: Sequence[int]) -> list[int]:
        self.clock.ask()
        return list(indices)


class Gather:
    """Collates numbers into a batch."""

    def __init__(self, batch: Callable[[list[int]], Any], clock: Clock) -> None:
        self.batch, self.clock = batch, clock

    def __call__(self, indices: Sequence[int]) -> Any:
        batch = self.batch(list(indices))
        self.clock.give()
        return batch


def ticking_loader(batch: Callable[[list[int]], Any], *, count: int, size: int, clock: Clock) -> DataLoader[Any]:
    """A loader of ``count`` samples in batches of ``size``."""
    return DataLoader(Numbers(count, clock), batch_size=size, collate_fn=Gather(batch, clock))
