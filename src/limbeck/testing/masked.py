"""Features some of whose positions do not count."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from limbeck.features import Feature
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss
from limbeck.testing.samples import normal, random_mask


def mask_of(feature: Feature, seed: int) -> Bool[Tensor, "B N"]:
    """A mask that hides about a third of the feature."""
    return random_mask(*feature.x.shape[:2], seed=seed)


def dead_positions(
    loss: FeatureLoss, student: Feature, teacher: Feature
) -> tuple[Bool[Tensor, "B N"], Bool[Tensor, "B M"]]:
    """The positions that must not count; where positions correspond, those that either side masks."""
    mine, theirs = (
        torch.zeros(each.x.shape[:2], dtype=torch.bool) if each.mask is None else ~each.mask
        for each in (student, teacher)
    )
    if loss.needs & (Match.POSITIONS | Match.GRID):
        return mine | theirs, mine | theirs
    return mine, theirs


def filled(feature: Feature, places: Bool[Tensor, "B N"], size: float) -> Feature:
    """The same feature with other values of about that size at some places; NaN for NaN."""
    other = size * normal(*feature.x.shape, seed=9, dtype=feature.x.dtype)
    return feature._replace(x=torch.where(places.unsqueeze(-1), other, feature.x))
