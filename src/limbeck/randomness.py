"""Randomness as a function of seed, epoch and batch, so that a resumed training equals an uninterrupted one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, lru_cache

import numpy as np
import torch

# Places whose seeds are mixed in one go: our choice.
_BLOCK = 128


def seed_all(*numbers: int) -> None:
    """Seed python, numpy and torch by a few numbers, such as ``(seed, epoch, batch)``.

    Example:
        >>> seed_all(0, 1, 2); first = torch.rand(1)
        >>> seed_all(0, 1, 2); bool(first == torch.rand(1))
        True
    """
    _seed_generators(_mixed(*numbers))


def seed_place(seed: int, epoch: int, place: int, rank: int) -> None:
    """The same as ``seed_all(seed, epoch, place, rank)``, for places that come one after the other.

    Mixing the numbers takes ten times as long between the steps of a training, which fill the processor's caches, as
    at a stretch; so a block of places is mixed at once.
    """
    _seed_generators(_block(seed, epoch, place // _BLOCK, rank)[place % _BLOCK])


@lru_cache(maxsize=4)
def _block(seed: int, epoch: int, block: int, rank: int) -> list[int]:
    return [_mixed(seed, epoch, place, rank) for place in range(block * _BLOCK, (block + 1) * _BLOCK)]


def _mixed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _seed_generators(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    # torch.manual_seed asks every kind of device in turn: without any, that takes longer than all the rest.
    if _has_accelerator():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@cache
def _has_accelerator() -> bool:
    return torch.accelerator.is_available()


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
