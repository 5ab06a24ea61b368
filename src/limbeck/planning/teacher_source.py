"""Where a distiller's teacher features come from: the model, stopped early if it may be, with a cache if asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from limbeck.batch import Batch, move
from limbeck.cache.cached_teacher import CachedTeacher
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.planning.caching import Accelerating, CacheSettings, cached_teacher, described_cache, spot_check
from limbeck.planning.pair import Pair
from limbeck.teachers.feature_source import FeatureSource
from limbeck.teachers.live import Teacher


@contextmanager
def teacher_source(
    pair: Pair, distiller: Distiller, cache: CacheSettings | None, accelerator: Accelerating, *, answers: bool = False
) -> Iterator[tuple[FeatureSource, tuple[Choice, ...]]]:
    """The source and what is to be said of it; hooks are taken off and files closed afterwards.

    Args:
        pair: holds the teacher and the data.
        distiller: says which sites are read and whether answers are.
        cache: where to keep what the teacher says; ``None`` to run it in every step.
        accelerator: that of the training: a cached teacher runs where and in which precision it does there.
        answers: whether the teacher's answers are needed although the distiller reads none, as others do.

    Raises:
        CacheError: if the cache was computed from something else.
    """
    answers, reads = answers or distiller.needs_answers, answers or distiller.needs_teacher
    with Teacher(pair.teacher, distiller.teacher_sites, answers=answers) as live:
        notes = () if answers or not reads else _stop_note(live, pair.batches[0])
        if cache is None or pair.keyed is None:
            yield live, notes
            return
        if not reads:
            yield live, (*notes, Choice("teacher cache", "off", "no loss reads the teacher"))
            return
        how = {"batches": pair.batches, "read_output": pair.read_output, "accelerator": accelerator, "answers": answers}
        cached, exactness = cached_teacher(live, distiller, pair.keyed, cache, **how)
        try:
            checked = spot_check(cached, pair.keyed, pair.adapt, accelerator.device)
            check = Choice("cache check", f"{checked} samples", "computed again and compared with what is stored")
            yield cached, (*notes, described_cache(cached, exactness), check)
        finally:
            cached.close()


def answering(source: FeatureSource, teacher: nn.Module, device: torch.device) -> nn.Module | FeatureSource:
    """What is asked for the teacher's answers: its cache, where that holds them, else itself."""
    if not (isinstance(source, CachedTeacher) and source.holds_answers):
        return teacher
    return lambda batch: source(move(batch, device))


def _stop_note(live: Teacher, batch: Batch) -> tuple[Choice, ...]:
    for _ in range(2):
        live(batch)  # the first one finds where the rest begins, the second one stops there
    why = live.why_not_stopped
    if why is not None:
        return (Choice("teacher early stop", "off", why),)
    return (Choice("teacher early stop", "on", "its answers are not needed: it runs to its deepest linked site only"),)
