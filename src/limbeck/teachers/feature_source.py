"""Where a teacher's features and answers come from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from limbeck.batch import Batch
from limbeck.capture.capture import Captured


@runtime_checkable
class FeatureSource(Protocol):
    """Anything that gives the teacher's side of a batch: a live model, or a cache of what one computed."""

    def __call__(self, batch: Batch) -> Captured:
        """The teacher's output and features for the samples of the batch, outside of any autograd graph."""
        ...
