"""What the results come to: ``summary.json`` and the page of the documentation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.quality import measures
from benchmarks.quality.contenders import DEFAULT, contenders
from benchmarks.quality.page import markdown
from benchmarks.quality.pairs import Pair, pairs
from benchmarks.quality.results import Row, of, read
from benchmarks.quality.table import PLAIN, STRONGEST, compute, curve, reasons, scores, teacher, winner

from limbeck.whole_file import write_text

NOT_BUILT = "the automatic choice is not built yet"


def write_summary(folder: Path, file: Path, page: Path | None, *, only_tried: bool) -> dict[str, Any]:
    """Read all results of a folder and write the JSON and, if there is a place for it, the page."""
    found = summarise({pair: read(folder, pair.name) for pair in pairs()}, only_tried=only_tried)
    write_text(file, json.dumps(found, indent=1) + "\n")
    if page is not None:
        write_text(page, markdown(found))
    return found


def summarise(results: Mapping[Pair, Sequence[Row]], *, only_tried: bool = False) -> dict[str, Any]:
    """Everything in one object, as the README and the page read it."""
    main = {pair: rows for pair, rows in results.items() if teacher(rows) is not None and pair.role == "main"}
    rows = [pair_summary(pair, rows) for pair, rows in main.items()]
    tests = {side: _tests(main, side) for side in (PLAIN, "alone")}
    for row in rows:
        row["non_inferior"] = {side: tests[side].get(row["name"]) for side in tests}
    regrets = [(row["dataset"], row["regret"]) for row in rows if row["regret"] is not None]
    # Without the searches of both sides, and with them.
    gains, matches = (
        {
            counted: {str(length): of_length(main, length, searches=counted) for length in STRONGEST}
            for counted in (False, True)
        }
        for of_length in (_gain, _match)
    )
    return {
        "only_tried": only_tried,
        "pairs": rows,
        "compute": _compute(main),
        "mean_regret": _plain(measures.bootstrapped(regrets)),
        "gain_at_equal_compute": {length: each and each["mean"] for length, each in gains[True].items()},
        "gain_at_equal_compute_intervals": gains[False],
        "gain_at_equal_total_compute_intervals": gains[True],
        "compute_to_match": {length: each and each["median"] for length, each in matches[True].items()},
        "compute_to_match_details": matches[False],
        "total_compute_to_match_details": matches[True],
        "methods": _methods(main),
        "labels": [_labels(pair, found) for pair, found in results.items() if pair.data == "glosses" and pair.labels
                   and teacher(found) is not None],
    }  # fmt: skip


def pair_summary(pair: Pair, rows: Sequence[Row]) -> dict[str, Any]:
    """One pair."""
    found, known = scores(rows), teacher(rows)
    means = {name: round(mean(each.values()), 3) for name, each in found.items()}
    # Of the methods, only those with all seeds stand beside the others.
    usual = {name: each for name, each in found.items() if len(each) >= len(found.get(LIMBECK, {}))}
    full = {name: each for name, each in usual.items() if _full_length(name)}
    best = measures.regret(full, LIMBECK) if LIMBECK in found else None
    alone, own = means.get("alone"), means.get(LIMBECK)
    accuracy = None if known is None else known["accuracy"]
    gap = None if None in {accuracy, alone, own} else measures.recovered_gap(accuracy or 0.0, alone or 0.0, own or 0.0)
    return {
        "name": pair.name,
        "dataset": pair.data,
        "check": pair.check,
        "same_family": pair.family,
        "teacher_saw_only_the_students_data": pair.own_data,
        "teacher": accuracy,
        "alone": alone,
        "soft_labels": means.get(PLAIN),
        "soft_labels_se": _error(found.get(PLAIN)),
        "limbeck": own,
        "limbeck_se": _error(found.get(LIMBECK)),
        "default": means.get(_DEFAULT),
        "best": None if best is None else round(best.accuracy, 3),
        "best_name": None if best is None else best.winner,
        "regret": None if best is None else round(best.points, 3),
        "recovered_gap": None if gap is None else round(gap, 3),
        "seeds": len(found.get(LIMBECK, {})),
        "accuracies": means,
        "calibration_errors": _calibration(rows),
        "best_of_methods": {group: winner(rows, group) for group in ("published", "tuned")},
        "smaller_student": _smaller(means),
        "not_applicable": reasons(rows),
    }


def _full_length(name: str) -> bool:
    known = next(each for each in contenders() if each.name == name)
    return known.length == 1.0 and known.scale == 1.0


def _error(found: Mapping[int, float] | None) -> float | None:
    error = measures.standard_error(list((found or {}).values()))
    return None if error is None else round(error, 3)


def _calibration(rows: Sequence[Row]) -> dict[str, float]:
    known: dict[str, list[float]] = {}
    for row in of(rows, kind="final"):
        if row["calibration_error"] is not None:
            known.setdefault(row["contender"], []).append(row["calibration_error"])
    return {name: round(mean(each), 2) for name, each in known.items()}


def _smaller(means: Mapping[str, float]) -> float | None:
    """The least width at which limbeck's student is as accurate as the full one with soft labels."""
    widths = {each.scale: means[each.name] for each in contenders()
              if each.own_rate == "search" and each.length == 1.0 and each.name in means}  # fmt: skip
    return min((scale for scale, each in widths.items() if each >= means.get(PLAIN, math.inf)), default=None)


def _tests(main: Mapping[Pair, Sequence[Row]], side: str) -> dict[str, bool]:
    values: dict[str, float] = {}
    for pair, rows in main.items():
        found = scores(rows)
        chance = measures.inferiority(measures.paired(found.get(LIMBECK, {}), found.get(side, {})))
        if chance is not None:
            values[pair.name] = chance
    return measures.holm(values)


def _budget(pair: Pair, rows: Sequence[Row], length: int, *, searches: bool) -> tuple[float, float] | None:
    """Compute and accuracy of the strongest plain alternative of a length."""
    name = STRONGEST[length] if scores(rows).get(STRONGEST[length]) else PLAIN if length == 1 else None
    found = None if name is None else compute(rows, name, samples=pair.samples, live=True, searches=searches)
    return None if found is None or name is None else (found, mean(scores(rows)[name].values()))


def _gain(main: Mapping[Pair, Sequence[Row]], length: int, *, searches: bool) -> dict[str, Any] | None:
    gains: list[tuple[str, float]] = []
    for pair, rows in main.items():
        plain = _budget(pair, rows, length, searches=searches)
        points = curve(rows, samples=pair.samples, searches=searches)
        reached = None if plain is None else measures.accuracy_at(points, plain[0])
        if plain is not None and reached is not None:
            gains.append((pair.data, reached - plain[1]))
    return _plain(measures.bootstrapped(gains), pairs=len(gains))


def _match(main: Mapping[Pair, Sequence[Row]], length: int, *, searches: bool) -> dict[str, Any] | None:
    ratios: list[float] = []
    for pair, rows in main.items():
        plain = _budget(pair, rows, length, searches=searches)
        points = curve(rows, samples=pair.samples, searches=searches)
        if plain is not None and points:
            ratios.append(measures.compute_for(points, plain[1]) / plain[0])
    if not ratios:
        return None
    middle = median(ratios)
    return {"median": round(middle, 3) if math.isfinite(middle) else None, "pairs": len(ratios),
            "never": sum(map(math.isinf, ratios))}  # fmt: skip


def _plain(found: measures.Interval | None, **more: Any) -> dict[str, Any] | None:
    return None if found is None else {**{key: round(each, 3) for key, each in found._asdict().items()}, **more}


def _compute(main: Mapping[Pair, Sequence[Row]]) -> dict[str, Any]:
    """Compute of limbeck, its search included, in plain soft-label runs with the teacher live."""
    ratios: dict[str, list[float]] = {LIMBECK: [], _DEFAULT: []}
    for pair, rows in main.items():
        plain = compute(rows, PLAIN, samples=pair.samples, live=True, searches=False)
        for name, known in ratios.items():
            own = compute(rows, name, samples=pair.samples, live=False, searches=True)
            if plain is not None and own is not None:
                known.append(own / plain)
    return {name: round(mean(each), 3) if each else None for name, each in ratios.items()}


def _methods(main: Mapping[Pair, Sequence[Row]]) -> dict[str, Any]:
    """Mean over the pairs on which both ran of each contender's accuracy less that of limbeck."""
    found: dict[str, list[float]] = {}
    for rows in main.values():
        known = scores(rows)
        for name, each in known.items():
            if LIMBECK in known and name != LIMBECK:
                found.setdefault(name, []).append(mean(each.values()) - mean(known[LIMBECK].values()))
    return {name: {"points": round(mean(each), 3), "pairs": len(each)} for name, each in found.items()}


def _labels(pair: Pair, rows: Sequence[Row]) -> dict[str, Any]:
    means = {name: mean(each.values()) for name, each in scores(rows).items()}
    gain = means[LIMBECK] - means[PLAIN] if {LIMBECK, PLAIN} <= set(means) else None
    return {"name": pair.name, "labels": pair.samples, "gain": None if gain is None else round(gain, 3)}
