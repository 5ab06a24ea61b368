"""How alike the linked sites are."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from limbeck.batch import Batch
from limbeck.distiller.distiller import Distiller
from limbeck.evaluating import evaluating
from limbeck.similarity import MinibatchCKA
from limbeck.teachers.feature_source import FeatureSource


def linked_similarity(
    distiller: Distiller, source: FeatureSource | None, batches: Sequence[Batch]
) -> list[list[float]]:
    """Unbiased CKA of every linked student site to every linked teacher site, both in evaluation mode.

    Args:
        distiller: holds the student; given back in the mode it was in.
        source: the teacher; without one, and without links, the answer is empty.
        batches: those of fewer than four samples are left out, as the measure needs four.
    """
    usable = [batch for batch in batches if batch.size >= 4]
    if source is None or not len(distiller.terms) or not usable:
        return []
    similarity = MinibatchCKA()
    with torch.no_grad(), evaluating(distiller):
        for batch in usable:
            similarity.update(distiller.read_student(batch).features, source(batch).features)
    return [[round(value, 4) for value in row] for row in similarity.compute().tolist()]
