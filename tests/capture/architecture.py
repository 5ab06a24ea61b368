"""A row of the table of architectures: a network, a batch, and what its own configuration says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from limbeck.batch import Batch


class Stage(NamedTuple):
    """The end of a stage, as the architecture's authors define it."""

    channels: int
    grid: tuple[int, ...] | None
    axes: str = "BCHW"
    prefix: int = 0
    module: str = ""  # the end lies in this module, or is it


@dataclass(frozen=True)
class Expected:
    stages: tuple[Stage, ...]
    blocks: int
    head: str | None
    head_channels: int
    summary: int | None = None
    variable: bool = False
    head_axes: str = "BC"


@dataclass(frozen=True)
class Architecture:
    name: str
    build: Callable[[], nn.Module]
    batch: Callable[[], Batch]
    expected: Callable[[nn.Module], Expected]
