"""A cell of the benchmark: one contender on one pair, its search and its final runs, taken up where it was left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from benchmarks.quality.contenders import Contender, contenders
from benchmarks.quality.pairs import Pair, named
from benchmarks.quality.results import append, of, read
from benchmarks.quality.search import Search, best
from benchmarks.quality.training import SEARCH_SEED, Case, NotApplicable, Trained

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
    def of_pair(self) -> Pair:
        """The pair."""
        return named([self.pair])[0]

    @property
    def of_contender(self) -> Contender:
        """The contender; there is none for a teacher."""
        return next(each for each in contenders() if each.name == self.contender)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        rows = of(read(self.folder, self.pair), contender=self.contender)
        return any(row["kind"] in {"n/a", "teacher"} for row in rows) or 0 < self.seeds <= len(of(rows, kind="final"))

    def run(self, case: Case | None = None) -> None:
        """Do what was not done before; with another case than that of the pair's name in the check of the program."""
        torch.set_num_threads(1)
        rows = of(read(self.folder, self.pair), contender=self.contender)
        if of(rows, kind="n/a"):
            return
        case = case or _case(self.pair)
        try:
            if self.contender is None:
                self._teacher(rows, case)
            else:
                self._contest(rows, case, self.of_contender)
        except NotApplicable as reason:
            self._add(kind="n/a", reason=str(reason))

    def _teacher(self, rows: Sequence[dict[str, Any]], case: Case) -> None:
        if not rows:
            unseen = case.teacher_unseen
            self._add(
                kind="teacher",
                accuracy=round(case.teacher_accuracy, 4),
                validation=None if unseen is None else round(unseen, 4),
                seconds_a_sample=round(case.teacher_seconds, 8),
            )

    def _contest(self, rows: Sequence[dict[str, Any]], case: Case, contender: Contender) -> None:
        space = case.space(contender)
        # What has nothing to search is validated once, as others choose by that.
        search = Search(space, self.trials if space else 1, seed=SEARCH_SEED)
        done = [(row["parameters"], row["validation"]) for row in of(rows, kind="trial")]
        while len(done) < search.trials:
            parameters = search.next(done)
            try:
                trained = case.train(contender, parameters, seed=SEARCH_SEED, final=False)
                accuracy, said = trained.judged.accuracy, self._said(trained)
            except Diverged:
                accuracy, said = 0.0, {}
            self._add(kind="trial", parameters=parameters, validation=round(accuracy, 4), **said)
            done.append((parameters, accuracy))
        found = best(done)[0]
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
            "planning_seconds": round(trained.planning_seconds, 3),
            "seconds": round(trained.seconds, 3),
            "search_seconds": round(trained.search_seconds, 3),
            "rate": trained.rate,
            "steps": trained.steps,
            "asked": trained.asked,
        }

    def _add(self, **facts: Any) -> None:
        append(self.folder, {"pair": self.pair, "contender": self.contender, **facts})


@lru_cache(maxsize=2)
def _case(name: str) -> Case:
    return Case.of(*named([name]))
