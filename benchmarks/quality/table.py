"""What the rows of a pair come to: accuracies by seed, costs, and who was the best of a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from benchmarks.quality.contenders import DEFAULTS, Group, contenders
from benchmarks.quality.results import Row, of

PLAIN = "soft labels"
STRONGEST = {length: f"strongest plain, {length}x" for length in (1, 3, 10)}


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
    known = {name: found for name in sorted(names) if (found := validation(rows, name)) is not None}
    return max(known, key=lambda name: known[name]) if known else None


def validation(rows: Sequence[Row], contender: str) -> float | None:
    """Validation accuracy of a contender's best trial."""
    return max((row["validation"] for row in of(rows, kind="trial", contender=contender)), default=None)


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
    # A cached teacher is run once for each sample, whatever the number of runs that read it.
    cached = 0.0 if live or not any(row["asked"] for row in finals) else samples * known["seconds_a_sample"]
    own = mean(_run_seconds(row, known, live=live, searches=searches) for row in finals)
    return own + cached + (search_compute(rows, contender, live=live) if searches else 0.0)


def search_compute(rows: Sequence[Row], contender: str, *, live: bool) -> float:
    """Processor seconds of a contender's trials; of none if it has nothing to search."""
    trials, known = of(rows, kind="trial", contender=contender), teacher(rows)
    if known is None:
        return 0.0
    return sum(_run_seconds(row, known, live=live, searches=True) for row in trials if row["parameters"])


def _run_seconds(row: Mapping[str, Any], known: Row, *, live: bool, searches: bool) -> float:
    own_search = row.get("search_seconds", 0.0) if searches else 0.0
    return row.get("seconds", 0.0) + own_search + row.get("asked", 0) * known["seconds_a_sample"] * live


def curve(rows: Sequence[Row], *, samples: int, searches: bool) -> list[tuple[float, float]]:
    """Compute and mean test accuracy of limbeck's default at every length; its rule for the rate is its only search."""
    found, points = scores(rows), list[tuple[float, float]]()
    for name in DEFAULTS:
        cost = compute(rows, name, samples=samples, live=False, searches=searches)
        if cost is not None:
            points.append((cost, mean(found[name].values())))
    return points
