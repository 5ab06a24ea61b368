"""What the rows of a pair come to: accuracies by seed, costs, and who was the best of a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.quality.contenders import Group, contenders
from benchmarks.quality.results import Row, of

PLAIN = "soft labels"
STRONGEST = {length: f"strongest plain, {length}x" for length in (1, 3, 10)}
LIMBECK = "limbeck"


def scores(rows: Sequence[Row]) -> dict[str, dict[int, float]]:
    """Test accuracy of every contender by seed."""
    found: dict[str, dict[int, float]] = {}
    for row in of(rows, kind="final"):
        found.setdefault(row["contender"], {})[row["seed"]] = row["accuracy"]
    return found


def reasons(rows: Sequence[Row]) -> dict[str, str]:
    """Why a contender has no result."""
    return {row["contender"]: row["reason"] for row in of(rows, kind="n/a") if row["contender"] is not None}


def winner(rows: Sequence[Row], group: Group) -> str | None:
    """The contender of a group that validates best, among those with final runs."""
    finished = {row["contender"] for row in of(rows, kind="final")}
    names = {each.name for each in contenders() if each.group == group} & finished
    validated = {
        name: max(row["validation"] for row in of(rows, kind="trial", contender=name))
        for name in sorted(names)
        if of(rows, kind="trial", contender=name)
    }
    return max(validated, key=lambda name: validated[name]) if validated else None


def teacher(rows: Sequence[Row]) -> Row | None:
    """The row of the teacher."""
    return next(iter(of(rows, kind="teacher")), None)


def compute(rows: Sequence[Row], contender: str, *, samples: int, live: bool, searches: bool) -> float | None:
    """Processor seconds of a final run, its teacher included; ``None`` if there is none.

    Args:
        rows: of a pair.
        contender: whose runs.
        samples: of the pair, each of which a cached teacher sees once.
        live: whether the teacher is run in every step.
        searches: whether the search is counted too, one for each run.
    """
    finals, known = of(rows, kind="final", contender=contender), teacher(rows)
    if not finals or known is None:
        return None
    trials = of(rows, kind="trial", contender=contender) if searches else []

    def one(row: Mapping[str, Any]) -> float:
        return row.get("seconds", 0.0) + row.get("asked", 0) * known["seconds_a_sample"] * live

    # A cached teacher is run once for each sample, whatever the number of runs that read it.
    cached = 0.0 if live or not any(row["asked"] for row in finals) else samples * known["seconds_a_sample"]
    own = mean(one(row) + (row["search_seconds"] if searches else 0.0) for row in finals)
    return own + sum(map(one, trials)) + cached


def curve(rows: Sequence[Row], *, samples: int, searches: bool) -> list[tuple[float, float]]:
    """Compute and mean accuracy of limbeck's automatic choice at all its lengths."""
    found = scores(rows)
    names = [each.name for each in contenders() if each.own_rate == "search" and each.scale == 1.0]
    points = ((compute(rows, name, samples=samples, live=False, searches=searches), name) for name in names)
    return sorted((cost, mean(found[name].values())) for cost, name in points if cost is not None)
