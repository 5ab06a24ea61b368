"""What it costs to weigh the terms by their gradients, over fixed weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.speed.case import Case
from benchmarks.speed.pairs import Pair
from benchmarks.speed.rounds import Ratio, build, measure
from benchmarks.speed.systems import Limbeck

import limbeck.balancers
from limbeck.progress import ProgressBar

# A measurement in every so many steps: a pass has exactly one.
_STEPS = 10
LIMIT = 1.10


def gradient_balancers() -> list[str]:
    """Every balancer that measures gradients."""
    found = (getattr(limbeck.balancers, name) for name in limbeck.balancers.__all__)
    return [each.__name__ for each in found if each.measure_every]


def balancing(chosen: Sequence[Pair], *, quick: bool, show: bool) -> list[dict[str, Any]]:
    """A row for each pair and balancer: the mean of ten steps, over that of fixed weights."""
    # The share of a measurement in a step does not depend on the batch, which is small here to have more rounds.
    chosen = [replace(each, batch_size=min(each.batch_size, 8)) if "tiny" not in each.name else each
              for each in chosen]  # fmt: skip
    systems = [Limbeck, *(_weighed_by(name) for name in gradient_balancers())]
    rows: list[dict[str, Any]] = []
    with ProgressBar("Balancing", len(chosen), show=show) as bar:
        for pair in chosen:
            built, reasons = build(Case(pair, steps=1 if quick else _STEPS), systems)
            passes = measure(built, seconds=0 if quick else 15, least=1 if quick else 3, whole=True)
            for each in systems[1:]:
                row: dict[str, Any] = {"pair": pair.name, "balancer": each.name}
                if each.name in reasons:
                    rows.append(row | {"reason": reasons[each.name]})
                    continue
                ratio = Ratio.of(passes[each.name].cpu, passes[Limbeck.name].cpu)
                rows.append(row | {"ratio": ratio.median, "quartiles": [ratio.low, ratio.high]})
            bar.advance(note=pair.name)
    return rows


def _weighed_by(kind: str) -> type[Limbeck]:
    return type(kind, (Limbeck,), {"name": kind, "balancer": {"kind": kind}})
