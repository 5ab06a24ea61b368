"""Systems run in turn, pass by pass, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.speed.case import Case
from benchmarks.speed.systems import NotApplicable, System


@dataclass(frozen=True)
class Ratio:
    """A quotient of two durations measured in many rounds: the median of the rounds, and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numerators: np.ndarray, denominators: np.ndarray) -> Ratio:
        """From one duration of each in every round."""
        low, median, high = np.quantile(numerators / denominators, (0.25, 0.5, 0.75))
        return cls(round(float(median), 4), round(float(low), 4), round(float(high), 4))


@dataclass(frozen=True)
class Passes:
    """Seconds of a step of one system in every round, on the clock and of the process's own work."""

    wall: np.ndarray
    cpu: np.ndarray


def build(case: Case, systems: Sequence[type[System]]) -> tuple[dict[str, System], dict[str, str]]:
    """The systems that can do the case, and why the others cannot."""
    built: dict[str, System] = {}
    reasons: dict[str, str] = {}
    for cls in systems:
        try:
            built[cls.name] = cls(case)
        except NotApplicable as reason:
            reasons[cls.name] = str(reason)
    return built, reasons


def measure(built: dict[str, System], *, seconds: float, least: int, whole: bool = False) -> dict[str, Passes]:
    """Rounds until the time is over, each in another order.

    Args:
        built: the systems.
        seconds: after which no round is begun.
        least: rounds that are made in any case.
        whole: whether a pass counts by the mean of its steps, as where they differ by design, not by their median.
    """
    names, found = list(built), {name: [] for name in built}
    over, rounds = time.monotonic() + seconds, 0
    while rounds < least or time.monotonic() < over:
        turn = rounds % len(names)
        for name in names[turn:] + names[:turn]:
            steps = built[name].run()
            middle = np.mean if whole else np.median
            found[name].append((middle(steps.wall), middle(steps.cpu)))
        rounds += 1
    return {name: Passes(*np.array(each).T) for name, each in found.items()}
