"""What is run, in which order and in which parts, and what that takes about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.cells import Cell
from benchmarks.quality.contenders import AUTOMATIC, DEFAULTS, TUNED, Contender, contenders
from benchmarks.quality.data import CACHE
from benchmarks.quality.estimates import contests, seconds, teacher_seconds
from benchmarks.quality.pairs import Pair, pairs
from benchmarks.quality.results import read
from benchmarks.quality.table import STRONGEST, reasons, scores, winner

RESULTS = Path(__file__).with_name("results")
# Of one core, so that parts are the same for any number of workers; with two they take half of it.
PART_SECONDS = 70 * 60
# What the headline is made of; run before the methods that others published.
HEADLINE = frozenset(
    {"alone", "soft labels", "soft labels and mixup", *STRONGEST.values(), *DEFAULTS, TUNED, AUTOMATIC}
)


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        folder: of the results.
        pairs: names; all if empty.
        contenders: names; all if empty.
        trials: of each search, the same for every contender.
        seeds: final runs of what is in the table.
        long_seeds: final runs of three and more plain runs, of which only the mean counts.
        method_seeds: final runs of each of the methods that only the best of a group is taken of.
    """

    folder: Path
    pairs: tuple[str, ...] = ()
    contenders: tuple[str, ...] = ()
    trials: int = 6
    seeds: int = 10
    long_seeds: int = 5
    method_seeds: int = 2

    def cells(self) -> list[Cell]:
        """Everything to run: development pairs before check pairs, the headline before the methods, teachers first."""
        found: dict[Cell, None] = {}
        for check in (False, True):
            for headline in (True, False):
                for pair in self._pairs(check):
                    found |= dict.fromkeys(self._of(pair, headline))
        return list(found)

    def _pairs(self, check: bool) -> list[Pair]:
        return [pair for pair in pairs() if pair.check == check and (not self.pairs or pair.name in self.pairs)]

    def _of(self, pair: Pair, headline: bool) -> Iterator[Cell]:
        yield self.teacher(pair.name)
        for contender in contenders():
            chosen = not self.contenders or contender.name in self.contenders
            if chosen and contests(pair, contender) and (contender.name in HEADLINE) == headline:
                yield Cell(pair.name, contender.name, self.trials, self._seeds(contender), self.folder)

    def teacher(self, pair: str) -> Cell:
        """The cell that trains and tests a pair's teacher."""
        return Cell(pair, None, 0, 0, self.folder)

    def _seeds(self, contender: Contender) -> int:
        if contender.group in {"published", "tuned"}:
            return self.method_seeds
        return self.long_seeds if contender.length >= 3 else self.seeds

    def winners(self, names: Sequence[str]) -> Iterator[Cell]:
        """Of groups that are complete, the methods that were best by validation: all seeds for them."""
        for name in names:
            rows = read(self.folder, name)
            known = set(scores(rows)) | set(reasons(rows))
            for group in ("published", "tuned"):
                complete = {each.name for each in contenders() if each.group == group} <= known
                best = winner(rows, group) if complete else None
                if best is not None:
                    yield Cell(name, best, self.trials, self.seeds, self.folder)


FULL = Size(RESULTS)
QUICK = Size(
    CACHE / "quick",
    pairs=("series-mlp", "digits-mlp", "digits-cnn"),
    contenders=("alone", "soft labels", "soft labels and mixup", "strongest plain, 1x", "strongest plain, 3x", "DKD",
                "FitNets 0.8/0.2", "RKD, published", "SP and soft labels, tuned", *DEFAULTS),
    trials=2, seeds=2, long_seeds=2, method_seeds=1,
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Cells that are run together, and what they take about on one core."""

    cells: tuple[Cell, ...]
    seconds: float

    def __str__(self) -> str:
        names = dict.fromkeys(cell.pair for cell in self.cells)
        contests = sum(cell.contender is not None for cell in self.cells)
        return f"{self.seconds / 60:5.1f} core minutes, {contests:3d} contests on {', '.join(names)}"


def parts(cells: Sequence[Cell]) -> list[Part]:
    """The cells in their order, in parts of at most 70 minutes of one core unless a single one takes longer."""
    found: list[Part] = []
    trained: set[str] = set()
    for cell in cells:
        took = _seconds(cell, trained)
        if found and found[-1].seconds + took <= PART_SECONDS:
            found[-1] = Part((*found[-1].cells, cell), found[-1].seconds + took)
        else:
            found.append(Part((cell,), took))
    return found


def _seconds(cell: Cell, trained: set[str]) -> float:
    """What a cell takes about, a teacher only if it was not trained for another pair."""
    if cell.contender is None:
        known = cell.of_pair.teacher_name in trained
        trained.add(cell.of_pair.teacher_name)
        return teacher_seconds(cell.of_pair, trained=known)
    contender = cell.of_contender
    trials = cell.trials if contender.space else 1
    return seconds(cell.of_pair, contender, trials + cell.seeds)
