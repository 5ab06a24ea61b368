"""Pooled features of all batches, side by side."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import DataError
from limbeck.features import Features


class PooledFeatures:
    """Keeps what each site gives for each sample, pooled, on the CPU in float32.

    Args:
        owner: the similarity that keeps them, for errors.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._sides: tuple[dict[str, list[Tensor]], dict[str, list[Tensor]]] = ({}, {})

    @torch.no_grad()
    def add(self, student: Features, teacher: Features) -> None:
        """Keep one batch.

        Raises:
            DataError: if the sites are not those of the batches before.
        """
        for kept, features in zip(self._sides, (student, teacher), strict=True):
            if kept and tuple(kept) != tuple(features):
                raise DataError(
                    f"{self.owner} needs the same sites in every batch. Found {tuple(kept)}, then {tuple(features)}."
                )
            for site, feature in features.items():
                kept.setdefault(site, []).append(feature.full_precision().pooled().cpu().float())

    def rows(self, *, fewest: int, purpose: str) -> tuple[list[Float[Tensor, "M _"]], list[Float[Tensor, "M _"]]]:
        """Everything that was kept: for each student site, and for each teacher site, one row for each sample.

        Args:
            fewest: how many samples are needed.
            purpose: what for, as the error repeats it.

        Raises:
            DataError: if there are fewer samples than that.
        """
        student, teacher = ([torch.cat(parts) for parts in side.values()] for side in self._sides)
        samples = len(student[0]) if student else 0
        if samples < fewest:
            raise DataError(
                f"{self.owner} needs at least {fewest} samples for {purpose}. Found {samples}. Give more batches."
            )
        return student, teacher
