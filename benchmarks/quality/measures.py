"""The statistics of the benchmark, on plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student_t

MARGIN = 0.5
LEVEL = 0.05
LEAST_GAP = 2.0

Scores = Mapping[int, float]
Curve = Sequence[tuple[float, float]]


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def paired(one: Scores, other: Scores) -> list[float]:
    """Differences of two contenders on the seeds that both have.

    Example:
        >>> paired({0: 90.0, 1: 92.0}, {1: 91.0, 2: 99.0})
        [1.0]
    """
    return [one[seed] - other[seed] for seed in sorted(set(one) & set(other))]


def standard_error(values: Sequence[float]) -> float | None:
    """Of a mean; ``None`` of fewer than two values."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def inferiority(differences: Sequence[float], *, margin: float = MARGIN) -> float | None:
    """p of the one-sided t-test that the mean difference is above ``-margin``; ``None`` of fewer than two seeds."""
    error = standard_error(differences)
    if error is None:
        return None
    above = mean(differences) + margin
    if error == 0:
        return 0.0 if above > 0 else 1.0
    return float(student_t.sf(above / error, len(differences) - 1))


def holm(values: Mapping[str, float], *, level: float = LEVEL) -> dict[str, bool]:
    """Which of several tests hold when all are to hold at the level together (Holm 1979).

    Example:
        >>> holm({"a": 0.01, "b": 0.03, "c": 0.04})
        {'a': True, 'b': False, 'c': False}
    """
    held: dict[str, bool] = {}
    going = True
    for rank, name in enumerate(sorted(values, key=lambda each: values[each])):
        going = going and values[name] <= level / (len(values) - rank)
        held[name] = going
    return {name: held[name] for name in values}


class Regret(NamedTuple):
    """The contender that won on the first half of the seeds, and by how much it wins on the others."""

    winner: str
    accuracy: float
    points: float


def regret(scores: Mapping[str, Scores], own: str) -> Regret | None:
    """Name the winner on the first half of the seeds and measure on the rest; ``None`` where there are too few."""
    seeds = sorted(scores[own])
    naming, fresh = set(seeds[: len(seeds) // 2]), set(seeds[len(seeds) // 2 :])
    whole = {name: found for name, found in scores.items() if naming | fresh <= set(found)}
    if not naming or len(whole) < 2:
        return None
    winner = max(whole, key=lambda name: mean(whole[name][seed] for seed in naming))
    best, mine = (mean(whole[name][seed] for seed in fresh) for name in (winner, own))
    return Regret(winner, best, best - mine)


def recovered_gap(teacher: float, alone: float, student: float) -> float | None:
    """Share of the way from the student alone to the teacher; ``None`` where that is less than 2 points.

    Example:
        >>> recovered_gap(90.0, 80.0, 85.0)
        0.5
    """
    return (student - alone) / (teacher - alone) if teacher - alone >= LEAST_GAP else None


def accuracy_at(curve: Curve, compute: float) -> float | None:
    """Accuracy that a curve of (compute, accuracy) reaches with at most so much compute; ``None`` before its points.

    Straight between its points over the logarithm of compute; beyond the last one it stays there, as nobody has to
    spend more.

    Example:
        >>> accuracy_at([(1.0, 80.0), (100.0, 90.0)], 10.0)
        85.0
    """
    points = sorted(curve)
    if not points or compute < points[0][0]:
        return None
    logs, values = zip(*((math.log(each), value) for each, value in points), strict=True)
    return float(np.interp(math.log(compute), logs, values))


def compute_for(curve: Curve, accuracy: float) -> float:
    """Least compute from which on a curve stays at an accuracy or above; infinite if it ends below.

    A short run that was lucky on test data does not count: every longer one has to reach the accuracy too.

    Example:
        >>> round(compute_for([(1.0, 80.0), (100.0, 90.0)], 85.0), 6)
        10.0
        >>> compute_for([(1.0, 90.0), (100.0, 80.0)], 85.0)
        inf
    """
    later: tuple[float, float] | None = None
    for compute, reached in sorted(curve, reverse=True):
        if reached < accuracy:
            if later is None:
                return math.inf
            more, above = later
            return compute * (more / compute) ** ((accuracy - reached) / (above - reached))
        later = compute, reached
    return math.inf if later is None else later[0]


def bootstrapped(values: Sequence[tuple[str, float]], *, draws: int = 10_000, seed: int = 0) -> Interval | None:
    """Mean over pairs, with the interval of drawing data sets and then pairs within them, both with replacement.

    Args:
        values: data set and value of each pair.
        draws: how many.
        seed: of the drawing.
    """
    if not values:
        return None
    groups: dict[str, list[float]] = {}
    for data, value in values:
        groups.setdefault(data, []).append(value)
    generator, found = np.random.default_rng(seed), list(groups.values())
    means = np.empty(draws)
    for draw in range(draws):
        chosen = [found[place] for place in generator.integers(len(found), size=len(found))]
        means[draw] = np.mean(np.concatenate([generator.choice(each, len(each)) for each in chosen]))
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(mean(value for _, value in values), float(low), float(high))
