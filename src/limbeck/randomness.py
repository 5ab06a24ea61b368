"""Randomness as a function of seed, epoch and batch, so that a resumed training equals an uninterrupted one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_all(*numbers: int) -> None:
    """Seed python, numpy and torch by a few numbers, such as ``(seed, epoch, batch)``.

    Example:
        >>> seed_all(0, 1, 2); first = torch.rand(1)
        >>> seed_all(0, 1, 2); bool(first == torch.rand(1))
        True
    """
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed asks every kind of device in turn: without any, that takes longer than all the rest.
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@contextmanager
def own_randomness() -> Iterator[None]:
    """Give the caller's generators back as they were."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=None if torch.accelerator.is_available() else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
