"""Refusing links and features whose sizes a loss cannot work with."""

from __future__ import annotations

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import Link
from limbeck.losses.family import FeatureLoss


def require_channels(loss: FeatureLoss, side: str, feature: Feature, channels: int) -> None:
    """Go on if the feature has the channels that the loss was built for.

    Raises:
        ShapeMismatch: naming both numbers.
    """
    found = feature.x.shape[-1]
    if found != channels:
        name = type(loss).__name__
        raise ShapeMismatch(
            f"{name} was built for {channels} channels of the {side}. Found {found}. Build it with "
            f"{name}.for_link(link, heads), the link as projector and targets leave it."
        )


def require_grid(link: Link, loss: str) -> tuple[int, ...]:
    """The grid that the teacher's positions form, if they form one.

    Raises:
        ShapeMismatch: naming the site.
    """
    grid = link.teacher.grid
    if grid is None:
        raise ShapeMismatch(
            f"{loss} compares positions on a grid. Found none at teacher '{link.teacher.site}', which gives a vector. "
            "Link sites before the pooling, or use a loss that needs no grid (MSE, VID)."
        )
    return grid
