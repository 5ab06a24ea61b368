"""What it costs to plan: in seconds, in forwards, and by the number of sites."""

from __future__ import annotations

import time
from typing import Any

import torch
from benchmarks.speed.case import Case
from benchmarks.speed.ticking import Clock
from torch import nn

import limbeck
import limbeck.similarity
from limbeck.evaluating import evaluating
from limbeck.features import Feature, Features
from limbeck.planning import Pair
from limbeck.progress import ProgressBar
from limbeck.recipe.recipe import Recipe

_SIMILAR = {
    "version": 1,
    "name": "by similarity",
    "mapping": {"kind": "BestMatch"},
    "features": [{"loss": {"kind": "MSE"}}],
}
_SAMPLES, _BATCH, _CHANNELS = 1024, 128, 256


def planning(case: Case) -> dict[str, Any]:
    """Seconds of the processor that planning takes, beyond the probe, over a forward of both models on all batches.

    With the default recipe, and with one that measures the similarity of every pair of sites.
    """
    before = time.process_time()
    limbeck.plan(case.teacher, case.new_student(), case.loader(Clock()))
    seconds = time.process_time() - before
    looked = Pair.look(case.teacher, case.new_student(), case.loader(Clock()), hold=False, show=False)
    forward = _forward(looked)
    found: dict[str, Any] = {"pair": case.pair.name, "seconds": round(seconds, 3)}
    for key, recipe in (("forwards", Recipe.load("auto")), ("forwards_by_similarity", Recipe.model_validate(_SIMILAR))):
        before = time.process_time()
        looked.plan(recipe, show=False)
        found[key] = round((time.process_time() - before) / forward, 3)
    sites = len(looked.student_anatomy.specs), len(looked.teacher_anatomy.specs)
    return found | {"sites": sites, "samples": sum(batch.size for batch in looked.batches)}


def similarities(*, quick: bool, show: bool) -> list[dict[str, Any]]:
    """Seconds of the processor for each similarity of many student sites to as many teacher sites."""
    names = [name for name in limbeck.similarity.__all__ if name != "Similarity"]
    counts = (2,) if quick else (25, 50, 100)
    rows: list[dict[str, Any]] = []
    with ProgressBar("Similarities", len(counts) * len(names), show=show) as bar:
        for count in counts:
            for name in names:
                seconds = _similarity(name, count)
                rows.append({"similarity": name, "sites": count, "samples": _SAMPLES, "seconds": round(seconds, 2)})
                bar.advance(note=f"{name}, {count} sites")
    return rows


def _forward(looked: Pair) -> float:
    before = time.process_time()
    for model in (looked.teacher, looked.student):
        _read(model, looked)
    return time.process_time() - before


@torch.no_grad()
def _read(model: nn.Module, looked: Pair) -> None:
    with evaluating(model):
        for batch in looked.batches:
            model(batch.inputs)


def _similarity(name: str, count: int) -> float:
    similarity = getattr(limbeck.similarity, name)()
    generator = torch.Generator().manual_seed(0)
    seconds = 0.0
    for _ in range(_SAMPLES // _BATCH):
        common = torch.randn(_BATCH, 1, 64, generator=generator)
        student, teacher = (_features(common, count, generator) for _ in range(2))
        before = time.process_time()
        similarity.update(student, teacher)
        seconds += time.process_time() - before
    before = time.process_time()
    similarity.compute()
    return seconds + time.process_time() - before


def _features(common: torch.Tensor, count: int, generator: torch.Generator) -> Features:
    """Sites that have something in common."""
    width = common.shape[-1]
    noise = (torch.randn(_BATCH, 1, _CHANNELS, generator=generator) for _ in range(count))
    return {
        f"site{index}": Feature(common @ torch.randn(width, _CHANNELS, generator=generator) / width**0.5 + each)
        for index, each in enumerate(noise)
    }
