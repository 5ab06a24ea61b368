"""Runs the quality benchmark: ``make bench-quality``, a part of it with ``PART=2``, a try of it with ``QUICK=1``."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import torch
from benchmarks.quality.cells import Cell
from benchmarks.quality.data import CACHE
from benchmarks.quality.plan import FULL, QUICK, Size, parts
from benchmarks.quality.summary import write_summary

from limbeck.progress import ProgressBar

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "concepts" / "what-works.md"


def main(size: Size, *, part: int | None, workers: int) -> None:
    """Run what is not done yet, then write summary and page, which say how much is there; a trial's elsewhere."""
    cells = size.cells() if part is None else list(parts(size.cells())[part - 1].cells)
    names = dict.fromkeys(cell.pair for cell in cells)
    for teachers in _apart([size.teacher(name) for name in names], lambda cell: cell.of_pair.teacher_name):
        _run(teachers, workers, "Teachers")
    _run([cell for cell in cells if cell.contender is not None], workers, "Contenders")
    _run(list(size.winners(list(names))), workers, "Winners")
    file, page = (HERE / "summary.json", PAGE) if size is FULL else (CACHE / "summary.json", CACHE / "what-works.md")
    done = sum(cell.done for cell in size.cells()) / len(size.cells())
    write_summary(size.folder, file, page, only_tried=size is QUICK, done=done)
    print(f"Summary in {file}, page in {page}.")


def show(size: Size) -> None:
    """Print the parts and what they take about."""
    found = parts(size.cells())
    for number, part in enumerate(found, 1):
        print(f"PART={number:<3d}{part}")
    print(f"About {sum(part.seconds for part in found) / 3600:.1f} core hours; two workers take half of that.")


def _apart(cells: Iterable[Cell], name: Callable[[Cell], str]) -> list[list[Cell]]:
    """The first cell of each name, then the others, which find what the first ones leave."""
    first = {name(cell): cell for cell in reversed(list(cells))}
    return [list(first.values()), [cell for cell in cells if cell not in first.values()]]


def _run(cells: Sequence[Cell], workers: int, label: str) -> None:
    """Run cells side by side; those that fail do not stop the others.

    Raises:
        ExceptionGroup: of all that failed.
    """
    context = get_context("spawn")
    failed: list[Exception] = []
    with (
        ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker) as pool,
        ProgressBar(label, len(cells)) as bar,
    ):
        jobs = {pool.submit(cell.run): cell for cell in cells if not cell.done}
        bar.advance(len(cells) - len(jobs))
        for done in as_completed(jobs):
            error = done.exception()
            if isinstance(error, Exception):
                error.add_note(f"In {jobs[done].contender or 'the teacher'} on {jobs[done].pair}.")
                failed.append(error)
            elif error is not None:
                raise error
            bar.advance()
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(cells)} cells failed; the others are kept", failed)


def _begin_worker() -> None:
    torch.set_num_threads(1)
    # Ctrl-C is for the process that waits for the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="only try it")
    parser.add_argument("--part", type=int, default=int(os.environ.get("PART", "0")) or None, help="one part, from 1")
    parser.add_argument("--workers", type=int, default=int(os.environ.get("WORKERS", "2")), help="processes")
    parser.add_argument("--dry-run", action="store_true", help="print the parts and what they take, and run nothing")
    given = parser.parse_args()
    chosen = QUICK if given.quick else FULL
    if given.dry_run:
        show(chosen)
    else:
        main(chosen, part=given.part, workers=given.workers)
