# ruff: noqa: E501
"""The page of the documentation on what works, from the summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Written by hand, as nothing in the summary says it.
TRIED = Path(__file__).with_name("tried.md")


def markdown(summary: Mapping[str, Any]) -> str:
    """The page."""
    parts = [
        "# What works\n\nWritten by `make bench-quality` from `benchmarks/quality/summary.json` and `tried.md`; not edited by hand.\n",
        _warning(summary),
        _pairs(summary["pairs"]),
        _compute(summary),
        _methods(summary["methods"]),
        _labels(summary["labels"]),
        _missing(summary["pairs"]),
        TRIED.read_text(encoding="utf-8"),
    ]
    return "\n".join(part for part in parts if part)


def _warning(summary: Mapping[str, Any]) -> str:
    if not summary["only_tried"]:
        done = summary["share_of_contests_done"]
        return (
            ""
            if done == 1
            else (
                f"> {100 * done:.0f} % of the contests are run so far. What is missing is empty or n/a, and says so in the\n"
                "> summary; means are over the pairs that are there, which are too few to conclude from.\n"
            )
        )
    return (
        "> These numbers come from a trial of the program: a few pairs, a few trials and seeds. They show what the page\n"
        "> will hold, and say nothing about the methods.\n"
    )


def _pairs(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ("pair", "use", "teacher", "alone", "soft labels", "limbeck default", "the same, tuned", "limbeck", "best in hindsight",
            "regret of default, of limbeck", "limbeck not worse than soft labels, alone")  # fmt: skip
    body = [
        (
            row["name"], "check" if row["check"] else "development", _number(row["teacher"]), _number(row["alone"]),
            _number(row["soft_labels"], row["soft_labels_se"]),
            _number(row["default"], row["default_se"]), _number(row["default_tuned"]),
            _number(row["limbeck"], row["limbeck_se"]),
            "n/a" if row["best"] is None else f"{row['best_name']} ({_number(row['best'])})",
            ", ".join(_number(row[each], digits=2) for each in ("default_regret", "regret")),
            ", ".join(_said(each) for each in row["non_inferior"].values()),
        )
        for row in rows
    ]  # fmt: skip
    said = (
        "Test accuracy in percent, mean ± standard error over seeds. The best in hindsight is named on one half of the\n"
        "seeds and measured on the other, as is the regret. Not worse: by less than 0.5 points, one-sided 95 %, Holm over\n"
        "pairs. Every contender has the same number of trials. The default has none: `search=False`, its rate from the\n"
        "student's widths; tuned, its rate is searched like that of the others. `limbeck` is `limbeck.distill` without any\n"
        "options: its own rates, its own race and a tenth of the data held out, which the others train on in their final\n"
        "runs.\n"
    )
    return f"## Accuracy\n\n{said}\n{_table(head, body)}\n"


def _compute(summary: Mapping[str, Any]) -> str:
    body = [
        (f"{length}x", _gained(summary["gain_at_equal_compute_details"][length]),
         _gained(summary["gain_at_equal_compute_without_searches"][length]),
         _ratio(summary["compute_to_match_details"][length]),
         _ratio(summary["compute_to_match_without_searches"][length]))
        for length in summary["compute_to_match"]
    ]  # fmt: skip
    said = (
        "Against soft labels with temperature, weight, rate, steps and mixup searched, at one, three and ten plain runs.\n"
        "The gain is at equal compute, in points, with its 95 % interval; the ratio is that of the default's compute,\n"
        "teacher cached, to theirs, teacher live, at the accuracy that they reach. Searches of both sides are paid for\n"
        "where it does not say otherwise; the default searches nothing, which is its point.\n"
    )
    head = ("soft labels", "gain at equal compute", "gain without searches", "compute to match",
            "compute without searches")  # fmt: skip
    return f"## Compute\n\n{said}\n{_table(head, body)}\n"


def _methods(methods: Mapping[str, Mapping[str, Any]]) -> str:
    ranked = sorted(methods.items(), key=lambda each: -each[1]["points"])
    body = [(name, f"{each['points']:+.2f}", str(each["pairs"])) for name, each in ranked]
    return f"## Every contender less the default, in points\n\n{_table(('contender', 'points', 'pairs'), body)}\n"


def _labels(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    body = [(str(row["labels"]), _number(row["gain"], digits=2)) for row in sorted(rows, key=lambda row: row["labels"])]
    return f"## Gain over soft labels by number of labels\n\n{_table(('labels', 'points'), body)}\n"


def _missing(rows: Sequence[Mapping[str, Any]]) -> str:
    said = [f"- {row['name']}, {name}: {why}" for row in rows for name, why in row["not_applicable"].items()]
    return "## Not applicable\n\n" + "\n".join(said) + "\n" if said else ""


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float | None, error: float | None = None, *, digits: int = 1) -> str:
    if value is None:
        return "n/a"
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def _gained(found: Mapping[str, Any]) -> str:
    if "reason" in found:
        return f"n/a ({found['reason']})"
    return f"{found['mean']:+.1f} ({found['low']:+.1f} to {found['high']:+.1f})"


def _ratio(found: Mapping[str, Any]) -> str:
    return f"n/a ({found['reason']})" if "reason" in found else f"{found['median']:.2f}"


def _said(value: bool | None) -> str:
    return "n/a" if value is None else "yes" if value else "not shown"
