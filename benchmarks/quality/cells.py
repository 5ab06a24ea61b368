"""A cell of the benchmark: one contender on one pair, its search and its final runs, taken up where it was left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from benchmarks.quality.contenders import Contender, contenders
from benchmarks.quality.data import Missing
from benchmarks.quality.pairs import Pair, pairs
from benchmarks.quality.results import append, of, read
from benchmarks.quality.search import Search, best
from benchmarks.quality.training import SEARCH_SEED, Case, NotApplicable, Trained

from limbeck.errors import LimbeckError
from limbeck.training.divergence import Diverged


@dataclass(frozen=True)
class Cell:
    """What one job does.

    Attributes:
        pair: name of the pair.
        contender: name of the contender; ``None`` to train and test the teacher.
        trials: of the search.
        seeds: final runs.
        folder: of the results.
    """

    pair: str
    contender: str | None
    trials: int
    seeds: int
    folder: Path

    @property
    def seconds(self) -> float:
        """What it takes about, teacher not run."""
        pair = _pair(self.pair)
        if self.contender is None:
            return 60.0
        known = _contender(self.contender)
        searched = self.trials if known.space else 0
        own_search = 3.0 if known.own_rate == "search" else 1.0
        return pair.seconds * known.length * (searched + self.seeds * own_search)

    def run(self) -> None:
        """Do what was not done before."""
        torch.set_num_threads(1)
        rows = of(read(self.folder, self.pair), contender=self.contender)
        if of(rows, kind="n/a"):
            return
        try:
            if self.contender is None:
                self._teacher(rows)
            else:
                self._contest(rows, _contender(self.contender))
        except (NotApplicable, Missing, LimbeckError) as reason:
            self._add(kind="n/a", reason=str(reason))

    def _teacher(self, rows: Sequence[dict[str, Any]]) -> None:
        if not rows:
            case = _case(self.pair)
            per_sample = round(case.teacher_seconds, 8)
            self._add(kind="teacher", accuracy=round(case.teacher_accuracy, 4), seconds_a_sample=per_sample)

    def _contest(self, rows: Sequence[dict[str, Any]], contender: Contender) -> None:
        case, search = _case(self.pair), Search(contender.space, self.trials, seed=SEARCH_SEED)
        done = [(row["parameters"], row["validation"]) for row in of(rows, kind="trial")]
        while contender.space and len(done) < self.trials:
            parameters = search.next(done)
            try:
                trained = case.train(contender, parameters, seed=SEARCH_SEED, final=False)
                accuracy, said = trained.judged.accuracy, self._said(trained)
            except Diverged:
                accuracy, said = 0.0, {}
            self._add(kind="trial", parameters=parameters, validation=round(accuracy, 4), **said)
            done.append((parameters, accuracy))
        found = best(done)[0] if done else {}
        finished = {row["seed"] for row in of(rows, kind="final")}
        for seed in (each for each in range(self.seeds) if each not in finished):
            trained = case.train(contender, found, seed=seed, final=True)
            calibration = trained.judged.calibration_error
            self._add(
                kind="final",
                seed=seed,
                parameters=found,
                accuracy=round(trained.judged.accuracy, 4),
                calibration_error=None if calibration is None else round(calibration, 3),
                **self._said(trained),
            )

    @staticmethod
    def _said(trained: Trained) -> dict[str, Any]:
        return {
            "seconds": round(trained.seconds, 3),
            "search_seconds": round(trained.search_seconds, 3),
            "rate": trained.rate,
            "steps": trained.steps,
            "asked": trained.asked,
        }

    def _add(self, **facts: Any) -> None:
        append(self.folder, {"pair": self.pair, "contender": self.contender, **facts})


def _pair(name: str) -> Pair:
    return next(each for each in pairs() if each.name == name)


def _contender(name: str) -> Contender:
    return next(each for each in contenders() if each.name == name)


@lru_cache(maxsize=2)
def _case(name: str) -> Case:
    return Case(_pair(name))
