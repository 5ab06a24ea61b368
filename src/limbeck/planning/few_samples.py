"""The few samples that a plan is tried on."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.batch import Batch, with_samples
from limbeck.capture.capture import Captured
from limbeck.teachers.feature_source import FeatureSource


def first_samples(batches: Sequence[Batch], count: int) -> list[Batch]:
    """The first batches, cut, with so many samples together if there are as many.

    Example:
        >>> import torch
        >>> [batch.size for batch in first_samples([Batch(torch.zeros(3, 2))] * 4, 5)]
        [3, 2]
    """
    found: list[Batch] = []
    missing = count
    for batch in batches:
        if missing > 0:
            found.append(with_samples(batch, min(missing, batch.size)))
            missing -= found[-1].size
    return found


class Once:
    """A teacher that runs once on each of a few batches and remembers what it gave.

    Args:
        source: the teacher.
        batches: held here, as a batch is known again by being the same object.
    """

    def __init__(self, source: FeatureSource, batches: Sequence[Batch]) -> None:
        self._known = [(batch, source(batch)) for batch in batches]

    def __call__(self, batch: Batch) -> Captured:
        """What the teacher gave for one of the batches."""
        return next(captured for known, captured in self._known if known is batch)
