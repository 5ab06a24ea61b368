"""What a step of a plan costs, measured once on a few samples."""

from __future__ import annotations

import copy
import time

import torch
from torch import Tensor

from limbeck.batch import Batch, call, first_tensor, logits_of, tensors, with_samples
from limbeck.capture.capture import Captured
from limbeck.distiller.distiller import Distiller
from limbeck.planning.caching import stored_forms
from limbeck.planning.plan import Costs
from limbeck.teachers.feature_source import FeatureSource

SAMPLES = 4
REPEATS = 3
# Seconds after which no further repeat is begun: on large models a plan must not wait for a better estimate.
LONGEST = 4.0


def measure_costs(
    distiller: Distiller, source: FeatureSource | None, batch: Batch, *, data_samples: int | None = None
) -> Costs:
    """Time the student's own step and the distilling one, alternately, on a copy; the student is not touched.

    Of each the shortest counts: what else a machine does, and what is done for the first time, only makes it longer.

    Args:
        distiller: with fitted targets.
        source: the teacher.
        batch: its first samples are used, at least as many as the losses need.
        data_samples: how many samples the data have, if that is known.
    """
    batch = with_samples(batch, max(SAMPLES, distiller.minimum_batch))
    copied = copy.deepcopy(distiller).train()
    alone, distilled = [], []
    bytes_per_sample = cache_bytes = 0
    begun = _now(batch)
    for _ in range(REPEATS):
        start = _now(batch)
        if alone and start - begun > LONGEST:
            break
        captured = source(batch) if source is not None and copied.needs_teacher else None
        copied(batch, captured).loss.backward()
        distilled.append(_now(batch) - start)
        copied.zero_grad(set_to_none=True)
        # Second, as what is done for the first time must not make distilling look cheaper than it is.
        start = _now(batch)
        output = call(copied.student, batch.inputs)
        answered = tensors(output) or tensors(copied.read_output(output))
        losses = [each.float().square().mean() for each in answered if each.requires_grad]
        if losses:
            torch.stack(losses).sum().backward()
        alone.append(_now(batch) - start)
        copied.zero_grad(set_to_none=True)
        raw = [] if captured is None else list(captured.raw.values())
        bytes_per_sample = sum(each.numel() * each.element_size() for each in raw) // batch.size
        cache_bytes = 0 if captured is None else _cached_bytes(copied, captured, batch)
    copied.close()
    parameters = sum(each.numel() for term in distiller.terms for each in term.parameters())
    own = sum(spec.positions * spec.channels * 4 for spec in distiller.student_sites)
    return Costs(
        projector_parameters=parameters,
        student_seconds=round(min(alone), 6),
        distill_seconds=round(min(distilled), 6),
        feature_bytes=bytes_per_sample + own,
        cache_bytes=cache_bytes,
        data_samples=data_samples,
        samples=batch.size,
    )


def _cached_bytes(distiller: Distiller, captured: Captured, batch: Batch) -> int:
    """What a view of a sample takes in a cache: two bytes for each number of a feature, four for each of an answer."""
    shapes = [form.of(captured.features[form.site]).x.shape[1:] for form in stored_forms(distiller, [batch])]
    answer = logits_of(captured.output, distiller.read_output) if distiller.needs_answers else None
    answers = answer.numel() // batch.size if isinstance(answer, Tensor) else 0
    return sum(2 * shape.numel() for shape in shapes) + 4 * answers


def _now(batch: Batch) -> float:
    """The time at which everything asked of the device so far is done."""
    device = first_tensor(batch.inputs).device
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
