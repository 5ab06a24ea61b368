"""Measures limbeck's speed: ``make bench-speed``, or ``QUICK=1 make bench-speed`` to only try the program."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.pool import AsyncResult
from pathlib import Path
from typing import Any

import torch
from benchmarks.speed.balancing import balancing
from benchmarks.speed.case import Case
from benchmarks.speed.catalogue import SYSTEMS
from benchmarks.speed.epoch import cached_epoch
from benchmarks.speed.memory import peak, start_pool
from benchmarks.speed.page import markdown, show
from benchmarks.speed.pairs import Pair, pairs
from benchmarks.speed.planning import planning, similarities
from benchmarks.speed.rounds import Passes, Ratio, build, measure
from benchmarks.speed.scaling import scaling
from benchmarks.speed.start import start_up
from benchmarks.speed.systems import Bare, Student

from limbeck.progress import ProgressBar

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "reference" / "performance.md"
# Seconds of rounds for each pair, and steps of a pass: a tiny step is short and noisy.
_BUDGETS = {"tiny 1-D conv": (20.0, 30), "ResNet-34 to ResNet-18": (80.0, 3), "MiniLM to 2 layers": (40.0, 4)}
_QUICK = (0.0, 1)


def main(
    folder: Path = HERE, page: Path = PAGE, *, quick: bool = False, only: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Measure everything, print tables, and write ``summary.json``, ``details.json`` and the page.

    Args:
        folder: for the JSON files.
        page: of the documentation.
        quick: one round of small sizes, to try the program.
        only: names of the pairs whose steps are measured; all if none is given.
    """
    torch.set_num_threads(1)
    began = time.monotonic()
    summary: list[dict[str, Any]] = []
    planned: list[dict[str, Any]] = []
    chosen = [pair for pair in pairs(quick=quick) if pair.name in only or not only]
    with start_pool() as pool:
        # Memory does not depend on what else runs, so it is measured beside the steps, on the other core.
        names = [(pair.name, system.name) for pair in chosen for system in SYSTEMS]
        peaks = {(pair, system): pool.apply_async(peak, (pair, system, quick)) for pair, system in names}
        with ProgressBar("Steps", len(chosen) * len(SYSTEMS)) as bar:
            for pair in chosen:
                seconds, steps = _QUICK if quick else _BUDGETS[pair.name]
                case = Case(pair, steps=steps)
                planned.append(planning(case))
                built, reasons = build(case, SYSTEMS)
                bar.advance(note=f"{pair.name}: rounds")
                passes = measure(built, seconds=seconds, least=1 if quick else 4)
                summary += _rows(pair, passes, reasons)
                bar.advance(len(SYSTEMS) - 1)
        details = {
            "machine": _machine(),
            "only tried": quick,
            "scaling": scaling(quick=quick, show=True),
            "balancing": balancing(chosen, quick=quick, show=True),
            "cached_epoch": cached_epoch(quick=quick),
            "start_up": start_up(repeats=1 if quick else 5),
            "planning": planned,
            "similarities": similarities(quick=quick, show=True),
        }
        _add_memory(summary, peaks)
    details["seconds"] = round(time.monotonic() - began)
    for name, content in (("summary", summary), ("details", details)):
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    page.write_text(markdown(summary, details), encoding="utf-8")
    show(summary, details)
    return summary


def _rows(pair: Pair, passes: dict[str, Passes], reasons: dict[str, str]) -> list[dict[str, Any]]:
    bare, student = passes[Bare.name], passes[Student.name]
    rows: list[dict[str, Any]] = []
    for name in (each.name for each in SYSTEMS):
        row: dict[str, Any] = {"pair": pair.name, "system": name}
        if name in reasons:
            row |= {"step_ratio": None, "step_ratio_to_student": None, "memory_ratio": None, "reason": reasons[name]}
        else:
            own = passes[name]
            step, alone = Ratio.of(own.cpu, bare.cpu), Ratio.of(own.cpu, student.cpu)
            row |= {
                "step_ratio": step.median,
                "step_ratio_to_student": alone.median,
                "memory_ratio": None,
                "step_quartiles": [step.low, step.high],
                "step_to_student_quartiles": [alone.low, alone.high],
                "step_ratio_on_the_clock": Ratio.of(own.wall, bare.wall).median,
                "rounds": len(own.cpu),
            }
        rows.append(row)
    return rows


def _add_memory(summary: Sequence[dict[str, Any]], peaks: dict[tuple[str, str], AsyncResult[int | None]]) -> None:
    with ProgressBar("Memory", len(summary)) as bar:
        for row in summary:
            own, bare = peaks[row["pair"], row["system"]].get(), peaks[row["pair"], Bare.name].get()
            if own is not None and bare is not None:
                row |= {"memory_ratio": round(own / bare, 4), "peak_bytes": own}
            bar.advance()


def _machine() -> str:
    return (
        f"Measured with torch {torch.__version__} on one thread of a {platform.machine()} CPU ({os.cpu_count()} cores)."
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="only try it")
    names = [each.name for each in pairs()]
    parser.add_argument("--pair", action="append", default=[], choices=names, help="only this pair; may be repeated")
    parser.add_argument("--folder", type=Path, help="where the JSON files go; default: beside this program")
    parser.add_argument("--page", type=Path, help="where the page goes; default: the documentation")
    given = parser.parse_args()
    # What is only tried, or only a part, must not take the place of what was measured.
    place = Path(tempfile.mkdtemp(prefix="limbeck-speed-")) if given.quick or given.pair else None
    pages = given.page or (place / PAGE.name if place else PAGE)
    main(given.folder or place or HERE, pages, quick=given.quick, only=given.pair)
    if place is not None:
        print(f"Not the whole measurement; written to {given.folder or place}, not to {HERE}.")
