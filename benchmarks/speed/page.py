"""The numbers as a page of the documentation and as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.speed.balancing import LIMIT
from rich.console import Console
from rich.table import Table

_HEAD = """# Performance

This page is written by `make bench-speed`, from `benchmarks/speed/summary.json` and `details.json`.

## A step

Every system makes the same training: cross-entropy, and ten times the sum of the mean squared errors between
projected features of the student and standardised features of the teacher at four layers (two for MiniLM), AdamW,
gradients no longer than 1. `bare` is a loop written by hand for the pair: hooks, 1x1 projectors, frozen
standardisation. `student` is the same with the teacher's standardised features already in memory: a training
without any teacher. `limbeck` is what `limbeck.distill` runs; `limbeck cached` reads the teacher's features from
disk (float16).

A step counts from the hand-over of a batch until the next one is asked for. All systems take turns in one process,
a few steps each, in rotating order; each number is the median over rounds of the quotient within a round, with
quartiles in brackets. Times are those of the processor, so that other programs on the machine do not count;
quotients of times on the clock are in `summary.json`. Memory is the peak of a pass beyond models and data, each
system in a process of its own. {machine}
"""
_PEERS = """torchdistill and silverspoon-kd compare features as they are, without standardising them, which is a little
less work; silverspoon-kd trains by Hugging Face's trainer. AdamW is the fused one in all systems but that which says
otherwise. timm's task has one term, between the pooled features before the heads.
"""
_SCALING = """## How it grows

limbeck's step, over the bare loop's and over the student's own with the same terms: 64 residual layers with some of
them linked; ResNet-34 to ResNet-18 with other batches, and with other teachers.
"""
_BALANCING = """## Weights by gradients

Balancers that measure gradients do so in every tenth step. Their step over that with fixed weights, both in limbeck,
as the mean of ten steps:
"""
_EPOCH = """## An epoch with the cache

ResNet-18 on images that are cropped and flipped at random, in two views that come back; features of ResNet-34 at
four layers in float16, {size:.2f} MB a view. The epoch takes {ratio:.2f} times the student's own epoch with the
same images and terms, its targets in memory ({low:.2f} to {high:.2f}; on the clock {wall:.2f}). The first epoch,
with the file cache {dropped} and every row checked against its checksum: {first:.2f}, on the clock
{first_wall:.2f}.
"""
_START = """## Starting

Seconds of the processor, the shortest of several; importing is what comes on top of torch.
"""
_PLANNING = """## Planning

Seconds of the processor that `limbeck.plan` takes with the default recipe; and what comes after the probe, over one
forward of both models on the {samples} samples that are looked at: with the default recipe, and with `BestMatch`, which
measures the similarity of all pairs of sites.
"""
_SIMILARITIES = """What a similarity takes for so many student sites with as many teacher sites, of 256 channels, on
1,024 samples, in seconds of one processor:
"""


_SCALED = ("varied", "value", "ms", "step, to bare", "step, to student")


def markdown(summary: Sequence[dict[str, Any]], details: dict[str, Any]) -> str:
    """The page."""
    columns = ("pair", "system", "step, to bare", "step, to student", "memory, to bare")
    missing = [f"{row['system']} on {row['pair']}: {row['reason']}." for row in summary if "reason" in row]
    parts = [
        _HEAD.format(machine=details["machine"]),
        _table(columns, map(_cells, summary)),
        _PEERS + ("\n" + "\n".join(f"- {each}" for each in missing) + "\n" if missing else ""),
        _SCALING,
        _table(_SCALED, map(_scaled, details["scaling"])),
        _BALANCING,
        _table(("pair", "balancer", "step, to fixed weights"), map(_balanced, details["balancing"])),
        within(details["balancing"]),
        _epoch(details["cached_epoch"]),
        _START,
        _table(("what", "seconds"), details["start_up"].items()),
        _PLANNING.format(samples=" or ".join(map(str, sorted({row["samples"] for row in details["planning"]})))),
        _table(("pair", "sites", "seconds", "forwards", "forwards, by similarity"), map(_planned, details["planning"])),
        _SIMILARITIES,
        _similarities(details["similarities"]),
    ]
    return "\n".join(parts)


def show(summary: Sequence[dict[str, Any]], details: dict[str, Any]) -> None:
    """Print the tables."""
    steps = Table("pair", "system", "step, to bare", "step, to student", "memory, to bare", title="Speed")
    for row in summary:
        steps.add_row(*_cells(row))
    scaled = Table(*_SCALED, title="How it grows")
    for row in details["scaling"]:
        scaled.add_row(*map(str, _scaled(row)))
    console = Console()
    console.print(steps, scaled, within(details["balancing"]))
    console.print(_epoch(details["cached_epoch"]), details["start_up"], details["planning"], highlight=False)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    if "reason" in row:
        return row["pair"], row["system"], "n/a", "n/a", "n/a"
    memory = "" if row["memory_ratio"] is None else f"{row['memory_ratio']:.2f}"
    return (
        row["pair"],
        row["system"],
        _ratio(row["step_ratio"], row["step_quartiles"]),
        _ratio(row["step_ratio_to_student"], row["step_to_student_quartiles"]),
        memory,
    )


def _scaled(row: dict[str, Any]) -> tuple[Any, ...]:
    step = _ratio(row["step_ratio"], row["quartiles"])
    alone = _ratio(row["step_ratio_to_student"], row["to_student_quartiles"])
    return row["varied"], row["value"], row["milliseconds"], step, alone


def _balanced(row: dict[str, Any]) -> tuple[str, ...]:
    return row["pair"], row["balancer"], "n/a" if "reason" in row else _ratio(row["ratio"], row["quartiles"])


def within(rows: Sequence[dict[str, Any]]) -> str:
    """Which balancers cost more than they may."""
    over = [f"{row['balancer']} on {row['pair']} ({row['ratio']:.2f})" for row in rows if row.get("ratio", 0) > LIMIT]
    if not over:
        return f"None costs more than {LIMIT:.2f} times the step with fixed weights.\n"
    return f"More than {LIMIT:.2f} times the step with fixed weights: {', '.join(over)}.\n"


def _planned(row: dict[str, Any]) -> tuple[Any, ...]:
    mine, theirs = row["sites"]
    return row["pair"], f"{mine} x {theirs}", row["seconds"], row["forwards"], row["forwards_by_similarity"]


def _similarities(rows: Sequence[dict[str, Any]]) -> str:
    counts = sorted({row["sites"] for row in rows})
    seconds = {(row["similarity"], row["sites"]): row["seconds"] for row in rows}
    names = dict.fromkeys(row["similarity"] for row in rows)
    shown = [(name, *(seconds[name, count] for count in counts)) for name in names]
    return _table(("similarity", *(f"{count} x {count}" for count in counts)), shown)


def _epoch(found: dict[str, Any]) -> str:
    return _EPOCH.format(
        size=found["bytes_per_view"] / 1e6, ratio=found["ratio"], low=found["quartiles"][0],
        high=found["quartiles"][1], wall=found["wall_ratio"], first=found["first_ratio"],
        first_wall=found["first_wall_ratio"], dropped="dropped" if found["file_cache_dropped"] else "warm",
    )  # fmt: skip


def _ratio(median: float, quartiles: Sequence[float]) -> str:
    return f"{median:.3f} ({quartiles[0]:.3f} to {quartiles[1]:.3f})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)
