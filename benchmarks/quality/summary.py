"""What the results come to: ``summary.json`` and the page of the documentation."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.quality import measures
from benchmarks.quality.contenders import AUTOMATIC, DEFAULT, TUNED, contenders
from benchmarks.quality.page import markdown
from benchmarks.quality.pairs import Pair, pairs
from benchmarks.quality.results import Row, of, read
from benchmarks.quality.table import PLAIN, STRONGEST, compute, curve, reasons, scores, teacher, winner

from limbeck.whole_file import write_text

_UNFINISHED = "not all of the runs are there"
NOT_RUN = "the automatic choice has no final runs"


def write_summary(folder: Path, file: Path, page: Path | None, *, only_tried: bool, done: float) -> dict[str, Any]:
    """Read all results of a folder and write the JSON and, if there is a place for it, the page."""
    found = summarise({pair: read(folder, pair.name) for pair in pairs()}, only_tried=only_tried, done=done)
    write_text(file, json.dumps(found, indent=1) + "\n")
    if page is not None:
        write_text(page, markdown(found))
    return found


def summarise(results: Mapping[Pair, Sequence[Row]], *, only_tried: bool = False, done: float = 1.0) -> dict[str, Any]:
    """Everything in one object, as the README and the page read it."""
    main = {pair: rows for pair, rows in results.items() if teacher(rows) is not None and pair.role == "main"}
    rows = [pair_summary(pair, rows) for pair, rows in main.items()]
    tests = {(own, side): _tests(main, own, side) for own in (DEFAULT, AUTOMATIC) for side in (PLAIN, "alone")}
    for row in rows:
        for own, field in ((DEFAULT, "default_non_inferior"), (AUTOMATIC, "non_inferior")):
            row[field] = {side: tests[own, side].get(row["name"]) for side in (PLAIN, "alone")}
    regrets = {
        field: [(row["dataset"], row[field]) for row in rows if row[field] is not None]
        for field in ("regret", "default_regret")
    }
    # With the searches of both sides, and without them.
    gains, matches = (
        {
            counted: {str(length): of_length(main, length, searches=counted) for length in STRONGEST}
            for counted in (True, False)
        }
        for of_length in (gain, match)
    )
    return {
        "only_tried": only_tried,
        "share_of_contests_done": round(done, 3),
        "compared": DEFAULT,
        "pairs": rows,
        "compute": _compute(main),
        "mean_regret": _plain(measures.bootstrapped(regrets["regret"])),
        "mean_default_regret": _plain(measures.bootstrapped(regrets["default_regret"])),
        "gain_at_equal_compute": {length: each.get("mean") for length, each in gains[True].items()},
        "gain_at_equal_compute_details": gains[True],
        "gain_at_equal_compute_without_searches": gains[False],
        "compute_to_match": {length: each.get("median") for length, each in matches[True].items()},
        "compute_to_match_details": matches[True],
        "compute_to_match_without_searches": matches[False],
        "null_because": _null_because(rows, gains[True], matches[True]),
        "methods": _methods(main),
        "labels": [_labels(pair, found) for pair, found in results.items() if pair.role == "labels"
                   and teacher(found) is not None],
    }  # fmt: skip


def _null_because(rows: Sequence[Row], gains: Mapping[str, Row], matches: Mapping[str, Row]) -> dict[str, str]:
    """Why a number of the summary is null, by its place."""
    found: dict[str, str] = {}
    if any(row["limbeck"] is None for row in rows):
        found |= {f"pairs.{field}": NOT_RUN for field in ("limbeck", "limbeck_se", "regret", "recovered_gap")}
    for name, known in (("gain_at_equal_compute", gains), ("compute_to_match", matches)):
        found |= {f"{name}.{length}": each["reason"] for length, each in known.items() if "reason" in each}
    for field, name in (("regret", "the automatic choice"), ("default_regret", "the default")):
        if not any(row[field] is not None for row in rows):
            found[f"mean_{field}"] = f"no pair has final runs of {name} and of another contender on two seeds or more"
    return found


def pair_summary(pair: Pair, rows: Sequence[Row]) -> dict[str, Any]:
    """One pair."""
    found, known = scores(rows), teacher(rows)
    means = {name: round(mean(each.values()), 3) for name, each in found.items()}
    own, automatic = found.get(DEFAULT, {}), found.get(AUTOMATIC, {})
    # Of the methods, only those with all seeds stand beside the others.
    full = {name: each for name, each in found.items() if len(each) >= len(own) and _full_length(name)}
    best = measures.regret(full, DEFAULT) if own else None
    chosen = measures.regret(full, AUTOMATIC) if AUTOMATIC in full else None
    accuracy: float | None = None if known is None else known["accuracy"]
    return {
        "name": pair.name,
        "dataset": pair.data,
        "check": pair.check,
        "same_family": pair.family,
        "teacher_saw_only_the_students_data": pair.own_data,
        "teacher": accuracy,
        "alone": means.get("alone"),
        "soft_labels": means.get(PLAIN),
        "soft_labels_se": _error(found.get(PLAIN)),
        "limbeck": means.get(AUTOMATIC),
        "limbeck_se": _error(automatic),
        "regret": None if chosen is None else round(chosen.points, 3),
        "recovered_gap": _gap(accuracy, means, AUTOMATIC),
        "default": means.get(DEFAULT),
        "default_se": _error(own),
        "default_tuned": means.get(TUNED),
        "best": None if best is None else round(best.accuracy, 3),
        "best_name": None if best is None else best.winner,
        "default_regret": None if best is None else round(best.points, 3),
        "default_recovered_gap": _gap(accuracy, means, DEFAULT),
        "seeds": len(own),
        "accuracies": means,
        "calibration_errors": _calibration(rows),
        "best_of_methods": {group: winner(rows, group) for group in ("published", "tuned")},
        "smaller_student": _smaller(means),
        "not_applicable": reasons(rows),
    }


def _gap(teacher: float | None, means: Mapping[str, float], own: str) -> float | None:
    if teacher is None or "alone" not in means or own not in means:
        return None
    found = measures.recovered_gap(teacher, means["alone"], means[own])
    return None if found is None else round(found, 3)


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
    """The least width at which the default's student is as accurate as the full one with soft labels."""
    defaults = (each for each in contenders() if each.name.startswith(DEFAULT) and each.name in means)
    widths = {each.scale: means[each.name] for each in defaults if each.length == 1.0 and each.ruled}
    return min((scale for scale, each in widths.items() if each >= means.get(PLAIN, math.inf)), default=None)


def _tests(main: Mapping[Pair, Sequence[Row]], own: str, side: str) -> dict[str, bool]:
    values: dict[str, float] = {}
    for pair, rows in main.items():
        found = scores(rows)
        chance = measures.inferiority(measures.paired(found.get(own, {}), found.get(side, {})))
        if chance is not None:
            values[pair.name] = chance
    return measures.holm(values)


def _budget(pair: Pair, rows: Sequence[Row], length: int, *, searches: bool) -> tuple[float, float] | None:
    """Compute and accuracy of the strongest plain alternative of a length."""
    name = STRONGEST[length]
    found = compute(rows, name, samples=pair.samples, live=True, searches=searches)
    return None if found is None else (found, mean(scores(rows)[name].values()))


def gain(main: Mapping[Pair, Sequence[Row]], length: int, *, searches: bool) -> dict[str, Any]:
    """Points of the default over the strongest plain alternative of a length at its compute, or why there are none."""
    gains: list[tuple[str, float]] = []
    why: Counter[str] = Counter()
    for pair, rows in main.items():
        plain, points = _sides(pair, rows, length, searches=searches)
        reached = None if plain is None else measures.accuracy_at(points, plain[0])
        if plain is None or not points:
            why[_UNFINISHED] += 1
        elif reached is None:
            why["less compute than the shortest of the default's runs"] += 1
        else:
            gains.append((pair.data, reached - plain[1]))
    return _plain(measures.bootstrapped(gains), pairs=len(gains), left_out=dict(why)) or _reason(why)


def match(main: Mapping[Pair, Sequence[Row]], length: int, *, searches: bool) -> dict[str, Any]:
    """The default's compute over that of the plain alternative whose accuracy it reaches, or why there is none."""
    ratios: list[float] = []
    why: Counter[str] = Counter()
    for pair, rows in main.items():
        plain, points = _sides(pair, rows, length, searches=searches)
        if plain is None or not points:
            why[_UNFINISHED] += 1
        else:
            ratios.append(measures.compute_for(points, plain[1]) / plain[0])
    if not ratios:
        return _reason(why)
    middle, never = median(ratios), sum(map(math.isinf, ratios))
    found = {"median": None, "pairs": len(ratios), "never": never, "left_out": dict(why)}
    if math.isinf(middle):
        return {**found, "reason": f"on {never} of {len(ratios)} pairs the default does not reach the accuracy"}
    return {**found, "median": round(middle, 3)}


def _sides(
    pair: Pair, rows: Sequence[Row], length: int, *, searches: bool
) -> tuple[tuple[float, float] | None, list[tuple[float, float]]]:
    return _budget(pair, rows, length, searches=searches), curve(rows, samples=pair.samples, searches=searches)


def _reason(why: Mapping[str, int]) -> dict[str, Any]:
    """Why there is no number at all."""
    said = "; ".join(f"{reason} ({count} pair{'s' * (count > 1)})" for reason, count in why.items())
    return {"reason": said or "no pair was run", "pairs": 0}


def _plain(found: measures.Interval | None, **more: Any) -> dict[str, Any] | None:
    return None if found is None else {**{key: round(each, 3) for key, each in found._asdict().items()}, **more}


def _compute(main: Mapping[Pair, Sequence[Row]]) -> dict[str, Any]:
    """Compute of limbeck's runs, their searches included, in plain soft-label runs with the teacher live."""
    ratios: dict[str, list[float]] = {DEFAULT: [], AUTOMATIC: []}
    for pair, rows in main.items():
        plain = compute(rows, PLAIN, samples=pair.samples, live=True, searches=False)
        for name, known in ratios.items():
            own = compute(rows, name, samples=pair.samples, live=False, searches=True)
            if plain is not None and own is not None:
                known.append(own / plain)
    return {name: round(mean(each), 3) if each else None for name, each in ratios.items()}


def _methods(main: Mapping[Pair, Sequence[Row]]) -> dict[str, Any]:
    """Mean over the pairs on which both ran of each contender's accuracy less that of the default."""
    found: dict[str, list[float]] = {}
    for rows in main.values():
        known = scores(rows)
        for name, each in known.items():
            if DEFAULT in known and name != DEFAULT:
                found.setdefault(name, []).append(mean(each.values()) - mean(known[DEFAULT].values()))
    return {name: {"points": round(mean(each), 3), "pairs": len(each)} for name, each in found.items()}


def _labels(pair: Pair, rows: Sequence[Row]) -> dict[str, Any]:
    means = {name: mean(each.values()) for name, each in scores(rows).items()}
    gain = means[DEFAULT] - means[PLAIN] if {DEFAULT, PLAIN} <= set(means) else None
    return {"name": pair.name, "labels": pair.samples, "gain": None if gain is None else round(gain, 3)}
