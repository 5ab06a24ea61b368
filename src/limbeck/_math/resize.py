"""A feature brought to another grid."""

from __future__ import annotations

import math

from limbeck._math.pooling import pool_grid, pool_valid_grid, pool_valid_sequence
from limbeck.errors import ShapeMismatch
from limbeck.features import Feature


def resize(feature: Feature, grid: tuple[int, ...]) -> Feature:
    """The feature's positions on ``grid``, its prefix tokens left out.

    Axes that shrink are averaged, axes that grow are interpolated. A padded sequence is averaged over the valid
    positions of each sample by itself, so that the result does not depend on how far the batch was padded. The grid
    without axes, ``()``, is the vector that the head reads; so is a grid of one position, for a feature with other axes
    or none.

    Raises:
        ShapeMismatch: if the feature has no grid, or one with another number of axes, and ``grid`` several positions.

    Example:
        >>> import torch
        >>> feature = Feature(torch.ones(2, 17, 3), grid=(4, 4), prefix=1)
        >>> resize(feature, (2, 2)).x.shape, resize(feature, ()).x.shape
        (torch.Size([2, 4, 3]), torch.Size([2, 1, 3]))
    """
    if grid == ():
        return Feature(feature.pooled().unsqueeze(1))
    body = feature.body()
    if body.grid is None or len(body.grid) != len(grid):
        if math.prod(grid) == 1:
            return resize(feature, ())._replace(grid=grid)
        raise ShapeMismatch(
            f"Positions can be brought to the grid {grid} from a grid with as many axes. Found {body.grid} with "
            f"{body.x.shape[1]} positions. Pool the teacher's side to a vector (target PoolVector)."
        )
    if body.mask is None:
        return Feature(pool_grid(body.x, body.grid, grid), grid)
    if len(grid) == 1:
        x, mask = pool_valid_sequence(body.x, body.mask, grid[0])
    else:
        x, mask = pool_valid_grid(body.x, body.mask, body.grid, grid)
    return Feature(x, grid, 0, mask)
