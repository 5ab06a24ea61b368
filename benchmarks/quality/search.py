# ruff: noqa: E501
"""The search that every contender gets: so many trials of Optuna's TPE, in ranges that follow the best to their edge."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import optuna
from benchmarks.quality.contenders import Range

Space = Mapping[str, Range | tuple[Any, ...]]
# Within this share of a range its edge is near, and it is made longer by this share; both our choice.
_NEAR, _LONGER = 0.15, 0.5


class Search:
    """Says what to try next, knowing what was tried before.

    Args:
        space: what is searched.
        trials: how many.
        seed: of the search.
    """

    def __init__(self, space: Space, trials: int, *, seed: int) -> None:
        self.space, self.trials, self.seed = dict(space), trials, seed

    def next(self, done: Sequence[tuple[Mapping[str, Any], float]]) -> dict[str, Any]:
        """The next trial, from parameters and validation accuracies of those before it.

        The same trials before give the same next one, so that a search can be taken up again.
        """
        if not done:
            return {name: each.start if isinstance(each, Range) else each[0] for name, each in self.space.items()}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        space = extended(self.space, done)
        sampler = optuna.samplers.TPESampler(seed=self.seed + len(done), n_startup_trials=max(2, self.trials // 3))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        distributions = {name: _distribution(each) for name, each in space.items()}
        for parameters, value in done:
            study.add_trial(
                optuna.trial.create_trial(params=dict(parameters), distributions=distributions, value=value)
            )
        trial = study.ask()
        return {
            name: trial.suggest_float(name, each.low, each.high, log=True)
            if isinstance(each, Range)
            else trial.suggest_categorical(name, each)
            for name, each in space.items()
        }


def best(done: Sequence[tuple[Mapping[str, Any], float]]) -> tuple[Mapping[str, Any], float]:
    """Parameters and accuracy of the best trial; the first of equals."""
    return max(done, key=lambda each: each[1])


def extended(space: Space, done: Sequence[tuple[Mapping[str, Any], float]]) -> dict[str, Any]:
    """The ranges as they are after these trials: wherever the best was near an edge, longer on that side.

    Example:
        >>> extended({"rate": Range(1e-3, 1e-1, 1e-2)}, [({"rate": 0.01}, 0.5), ({"rate": 0.1}, 0.9)])["rate"].high
        1.0
    """
    found = dict(space)
    leading: list[tuple[Mapping[str, Any], float]] = []
    for each in done:
        leading = leading if leading and each[1] <= leading[0][1] else [each]
        if leading[0] is not each:
            continue
        for name, known in found.items():
            if isinstance(known, Range):
                found[name] = _longer(known, each[0][name])
    return found


def _longer(known: Range, value: float) -> Range:
    width = math.log(known.high / known.low)
    place = math.log(value / known.low) / width
    factor = math.exp(_LONGER * width)
    if place < _NEAR:
        return replace(known, low=max(known.low / factor, known.least))
    return replace(known, high=min(known.high * factor, known.most)) if place > 1 - _NEAR else known


def _distribution(each: Range | tuple[Any, ...]) -> Any:
    if isinstance(each, Range):
        return optuna.distributions.FloatDistribution(each.low, each.high, log=True)
    return optuna.distributions.CategoricalDistribution(each)
