"""All systems, in the order of the table."""

from __future__ import annotations

from benchmarks.speed.peers import Silverspoon, Timm, Torchdistill
from benchmarks.speed.systems import (
    Bare,
    BareUnclipped,
    BareUnfused,
    Limbeck,
    LimbeckCached,
    LimbeckLoop,
    Student,
    System,
)

SYSTEMS: tuple[type[System], ...] = (
    Bare,
    BareUnclipped,
    BareUnfused,
    Student,
    Limbeck,
    LimbeckLoop,
    LimbeckCached,
    Torchdistill,
    Timm,
    Silverspoon,
)
