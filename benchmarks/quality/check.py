"""Tries every contender on every pair for 20 steps: ``make bench-quality CHECK=1``; fails if any of them does.

Networks and batches are those of the benchmark; samples are few, teachers hardly trained, and all files in a folder
that is thrown away. The accuracies mean nothing. What a step takes is measured on the way, and kept for the estimates
in ``seconds.json``.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from benchmarks.quality.cells import Cell
from benchmarks.quality.contenders import contenders
from benchmarks.quality.data import DataSet, load
from benchmarks.quality.estimates import contests, keep
from benchmarks.quality.page import markdown
from benchmarks.quality.pairs import Pair, named, pairs
from benchmarks.quality.results import read
from benchmarks.quality.summary import summarise
from benchmarks.quality.training import Case

_TESTS = 200


def tiny(pair: Pair, folder: Path) -> Case:
    """The pair with two batches of data, a teacher of two steps, and plain runs of 20 steps."""
    data = load(pair.data)
    small = replace(pair, samples=2 * pair.batch, steps=20, teacher=replace(pair.teacher, steps=2, samples=None))
    test = data.test.at(torch.arange(_TESTS))
    return Case(small, DataSet(data.pool.at(torch.arange(4 * pair.batch)), test, data.classes), folder / "cache")


def check(pair: Pair, names: Sequence[str], folder: Path) -> dict[str, str]:
    """Run contenders on a pair and put the rows into the folder; the errors by contender."""
    case, failed = tiny(pair, folder), dict[str, str]()
    for name in (None, *names):
        try:
            Cell(pair.name, name, trials=1, seeds=1, folder=folder).run(case)
        except Exception:
            failed[name or "teacher"] = traceback.format_exc()
    return failed


def main(chosen: Sequence[Pair]) -> int:
    """Check these pairs, say what failed, and keep what a step takes of those that did not."""
    count = 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        for pair in chosen:
            failed = check(pair, [each.name for each in contenders() if contests(pair, each)], folder)
            for contender, why in failed.items():
                print(f"{pair.name}, {contender}:\n{why}", flush=True)
            rows = read(folder, pair.name)
            for row in rows:
                if row["kind"] == "n/a":
                    print(f"{pair.name}, {row['contender']}: n/a, {row['reason']}")
            if not failed and pair.role == "main":
                keep(pair, rows)
            count += len(failed)
            print(f"{pair.name}: {len(failed)} failed", flush=True)
        markdown(summarise({pair: read(folder, pair.name) for pair in pairs()}, only_tried=True))
    return count


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.check", description=__doc__)
    parser.add_argument("pairs", nargs="*", help="names of pairs; all if none is given")
    names = parser.parse_args().pairs
    sys.exit(1 if main(named(names) if names else pairs()) else 0)
