"""What the benchmark takes, from what one step of every contender took in the check of the program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.quality.contenders import DEFAULT, Contender
from benchmarks.quality.pairs import Pair
from benchmarks.quality.results import Row, of

from limbeck.whole_file import write_text

FILE = Path(__file__).with_name("seconds.json")
FOR_LABELS = frozenset({"alone", "soft labels", DEFAULT})
# A race costs so many trainings, with the teacher running; building and judging take about this long.
_RACED, _AROUND = 5.0, 0.3
# A search over mixup and length: half of its runs are mixed, and some are half as long.
_SHORTER = 0.85
# A step of training, in forward passes.
_BACKWARD = 3.5


def contests(pair: Pair, contender: Contender) -> bool:
    """Whether a contender is run on a pair."""
    return pair.role == "main" or contender.name in FOR_LABELS


def keep(pair: Pair, rows: Sequence[Row], file: Path = FILE) -> None:
    """Write down what a run takes beside its steps, and planning and one step of each contender, in core seconds."""
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    times = {row["contender"]: (row["steps"], row["planning_seconds"], row["seconds"] - row["planning_seconds"])
             for row in of(rows, kind="final")}  # fmt: skip
    (few, _, short), (many, _, long) = (times[f"strongest plain, {length}x"] for length in (1, 10))
    beside = max(0.0, short - few * (long - short) / (many - few))
    steps = {
        name: [round(planning, 3), round(max(whole - beside, 0.1 * whole) / count, 6)]
        for name, (count, planning, whole) in times.items()
    }
    stored = next(iter(of(rows, kind="teacher")))["seconds_a_sample"]
    known[pair.name] = {"beside": round(beside, 3), "teacher_sample": stored, "contenders": steps}
    write_text(file, json.dumps(known, indent=1) + "\n")


def seconds(pair: Pair, contender: Contender, runs: int) -> float:
    """What so many runs of a contender take about; nothing where it does not apply."""
    known = _times(pair)
    times = known["contenders"]
    name = DEFAULT if contender.automatic else contender.name
    if name not in times:
        return 0.0
    planning, step = times[name]
    if "mixed" in contender.space:
        mixed = times.get("soft labels and mixup", (planning, step))[1]
        step = _SHORTER * (step + mixed) / 2
    steps = max(20, round(pair.steps * contender.length)) * _trainings(contender)
    return runs * (_AROUND + known["beside"] + planning + steps * step)


def _trainings(contender: Contender) -> float:
    return _RACED if contender.automatic else 1.0


def teacher_seconds(pair: Pair, *, trained: bool) -> float:
    """What training a teacher takes about, and what asking it once for all of the student's data takes."""
    sample = _times(pair)["teacher_sample"]
    training = 0.0 if trained else _BACKWARD * pair.teacher.steps * pair.teacher.batch * sample
    return training + pair.samples * sample


def _times(pair: Pair) -> dict[str, Any]:
    # The pairs that differ in the number of labels have the networks and batches of this one.
    return _known()["glosses-transformer" if pair.role == "labels" else pair.name]


@lru_cache(maxsize=1)
def _known() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))
