"""Runs the quality benchmark: ``make bench-quality``, a part of it with ``PART=2``, a try of it with ``QUICK=1``."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from benchmarks.quality.cells import Cell
from benchmarks.quality.contenders import Contender, contenders
from benchmarks.quality.pairs import pairs
from benchmarks.quality.results import read
from benchmarks.quality.summary import write_summary
from benchmarks.quality.table import winner

from limbeck.progress import ProgressBar

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parents[1] / "docs" / "concepts" / "what-works.md"
PART_SECONDS = 2 * 3600


@dataclass(frozen=True)
class Size:
    """How much is run.

    Attributes:
        folder: of the results.
        pairs: names; all if empty.
        contenders: names; all if empty.
        trials: of each search.
        long_trials: of each search whose runs are three or more plain runs long.
        seeds: final runs of what is in the table.
        method_seeds: final runs of each of the methods that only the best of a group is taken of.
        label_pairs: whether the pairs are run that only say how the gain depends on the number of labels.
    """

    folder: Path
    pairs: tuple[str, ...] = ()
    contenders: tuple[str, ...] = ()
    trials: int = 12
    long_trials: int = 8
    seeds: int = 10
    method_seeds: int = 3
    label_pairs: bool = True

    def cells(self) -> Iterator[Cell]:
        """Everything to run, pair by pair, the teacher first."""
        for pair in pairs():
            if (self.pairs and pair.name not in self.pairs) or (pair.role == "labels" and not self.label_pairs):
                continue
            yield Cell(pair.name, None, 0, 0, self.folder)
            for contender in contenders():
                chosen = not self.contenders or contender.name in self.contenders
                if chosen and (pair.role == "main" or contender.name in _FOR_LABELS):
                    trials = self.long_trials if contender.length >= 3 else self.trials
                    yield Cell(pair.name, contender.name, trials, self._seeds(contender), self.folder)

    def _seeds(self, contender: Contender) -> int:
        return self.method_seeds if contender.group in {"published", "tuned"} else self.seeds

    def winners(self, names: Sequence[str]) -> Iterator[Cell]:
        """Those methods that were the best of their group by validation: all seeds for them."""
        for name in names:
            rows = read(self.folder, name)
            for group in ("published", "tuned"):
                best = winner(rows, group)
                if best is not None:
                    yield Cell(name, best, self.trials, self.seeds, self.folder)


_FOR_LABELS = {"alone", "soft labels", "strongest plain, 1x", "strongest plain, 3x", "limbeck default", "limbeck",
               "limbeck, 3x"}  # fmt: skip
FULL = Size(RESULTS)
QUICK = Size(
    RESULTS / "quick",
    pairs=("series-mlp", "digits-mlp", "digits-cnn"),
    contenders=("alone", "soft labels", "soft labels and mixup", "strongest plain, 1x", "strongest plain, 3x", "DKD",
                "FitNets 0.8/0.2", "RKD, published", "SP and soft labels, tuned", "limbeck default", "limbeck",
                "limbeck, 0.25x", "limbeck, 0.5x"),
    trials=3, long_trials=2, seeds=3, method_seeds=2, label_pairs=False,
)  # fmt: skip


def parts(cells: Sequence[Cell], workers: int) -> list[list[Cell]]:
    """The cells in parts of at most two hours of all workers; whole pairs, but for those that take longer alone."""
    found: list[list[Cell]] = []
    filled = 0.0
    for cell in cells:
        seconds = cell.seconds / workers
        if not found or filled + seconds > PART_SECONDS:
            found.append([])
            filled = 0.0
        found[-1].append(cell)
        filled += seconds
    return found


def main(size: Size, *, part: int | None, workers: int) -> None:
    """Run what is not done yet, then write summary and page."""
    cells = list(size.cells())
    split = parts(cells, workers)
    print(
        f"{len(cells)} cells in {len(split)} parts, about {sum(each.seconds for each in cells) / 3600:.1f} core hours"
    )
    chosen = cells if part is None else split[part - 1]
    teachers = [each for each in chosen if each.contender is None]
    _run(teachers, workers, "Teachers")
    _run([each for each in chosen if each.contender is not None], workers, "Contenders")
    _run(list(size.winners(sorted({each.pair for each in chosen}))), workers, "Winners")
    write_summary(size.folder, HERE / "summary.json", PAGE, only_tried=size is QUICK)


def _run(cells: Sequence[Cell], workers: int, label: str) -> None:
    context = get_context("spawn")
    with (
        ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool,
        ProgressBar(label, len(cells)) as bar,
    ):
        for done in as_completed([pool.submit(cell.run) for cell in cells]):
            done.result()
            bar.advance()


def _begin_worker() -> None:
    torch.set_num_threads(1)
    # Ctrl-C is for the process that waits for the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="only try it")
    parser.add_argument("--part", type=int, default=int(os.environ.get("PART", "0")) or None, help="one part, from 1")
    parser.add_argument("--workers", type=int, default=int(os.environ.get("WORKERS", "2")), help="processes")
    given = parser.parse_args()
    main(QUICK if given.quick else FULL, part=given.part, workers=given.workers)
