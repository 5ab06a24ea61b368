"""Pairs of features that agree in everything but one thing."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss
from limbeck.testing.samples import STUDENT_CHANNELS, TEACHER_CHANNELS, normal


def disagreements(
    loss: FeatureLoss,
) -> list[tuple[Match, tuple[Feature, Feature], tuple[object, object]]]:
    """For each thing that can differ a pair that agrees in everything else that the loss needs."""
    mine, theirs = (loss.channel_groups * channels for channels in (STUDENT_CHANNELS, TEACHER_CHANNELS))
    other = mine if Match.CHANNELS in loss.needs else theirs
    x = normal(8, 6, mine, seed=1)

    def against(
        other: Float[Tensor, "B M D"], grid: tuple[int, ...], other_grid: tuple[int, ...]
    ) -> tuple[Feature, Feature]:
        return Feature(x, grid), Feature(other, other_grid)

    found: list[tuple[Match, tuple[Feature, Feature], tuple[object, object]]] = [
        (Match.CHANNELS, against(normal(8, 6, theirs, seed=2), (6,), (6,)), (mine, theirs)),
        (Match.GRID, against(normal(8, 6, other, seed=2), (2, 3), (3, 2)), ((2, 3), (3, 2))),
    ]
    # Other positions are another grid: a loss that needs the grid refuses them for that.
    if Match.GRID not in loss.needs:
        found.append((Match.POSITIONS, against(normal(8, 9, other, seed=2), (6,), (9,)), (6, 9)))
    return found
