"""How the cost of a step grows with links, batch and teacher."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from benchmarks.speed.case import Case
from benchmarks.speed.pairs import CLASSES, Pair, pairs, resnet
from benchmarks.speed.rounds import Passes, Ratio, build, measure
from benchmarks.speed.systems import Bare, Limbeck, Student
from torch import Tensor, nn

from limbeck.progress import ProgressBar

_DEEP = 64
_WIDTHS = {"resnet18": (64, 128, 256, 512), "resnet34": (64, 128, 256, 512), "resnet50": (256, 512, 1024, 2048)}


class Residual(nn.Module):
    """Residual layers of one width."""

    def __init__(self, width: int, *, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Linear(32, width)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, 32]`` to logits."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.map = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.map(self.norm(x)).relu()


def _deep(links: int, blocks: int) -> Pair:
    places = [(index + 1) * blocks // links - 1 for index in range(links)]
    return Pair(
        f"{links} links", partial(Residual, 256, blocks=blocks), partial(Residual, 128, blocks=blocks),
        lambda count: (torch.randn(count, 32), torch.randint(CLASSES, (count,))),
        tuple((f"blocks.{place}", f"blocks.{place}", 128, 256) for place in places),
        channel=-1, batch_size=256, projector=nn.Linear,
    )  # fmt: skip


def scaling(*, quick: bool, show: bool) -> list[dict[str, Any]]:
    """A row for each size: what varies, its value, limbeck's step over the bare loop's and over the student's."""
    images = next(each for each in pairs(quick=quick) if each.name.startswith("ResNet"))
    blocks, counts = (4, (1, 4)) if quick else (_DEEP, (1, 4, 16, 64))
    varied = [("links", links, _deep(links, blocks)) for links in counts]
    if not quick:
        varied += [("batch size", size, replace(images, batch_size=size)) for size in (8, 32, 64)]
        varied += [("teacher", name, _taught_by(images, name)) for name in _WIDTHS]
    rows: list[dict[str, Any]] = []
    with ProgressBar("Scaling", len(varied), show=show) as bar:
        for what, value, pair in varied:
            built, _ = build(Case(pair, steps=1 if quick else 3), [Bare, Student, Limbeck])
            passes = measure(built, seconds=0 if quick else 6, least=1 if quick else 3)
            rows.append(_row(what, value, passes))
            bar.advance(note=f"{what} {value}")
    return rows


def _row(varied: str, value: Any, passes: dict[str, Passes]) -> dict[str, Any]:
    own = passes[Limbeck.name].cpu
    step, alone = (Ratio.of(own, passes[system.name].cpu) for system in (Bare, Student))
    return {
        "varied": varied, "value": value, "milliseconds": round(1000 * float(np.median(own)), 1),
        "step_ratio": step.median, "quartiles": [step.low, step.high],
        "step_ratio_to_student": alone.median, "to_student_quartiles": [alone.low, alone.high],
    }  # fmt: skip


def _taught_by(pair: Pair, name: str) -> Pair:
    links = tuple((mine, theirs, mc, tc) for (mine, theirs, mc, _), tc in zip(pair.links, _WIDTHS[name], strict=True))
    return replace(pair, teacher=resnet(name), links=links)
