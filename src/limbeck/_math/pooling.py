"""Averages over neighbouring positions: of a grid, of a grid with padding, of a padded sequence."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from limbeck.errors import ShapeMismatch

_POOL = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
_INTERPOLATION = {1: "linear", 2: "bilinear", 3: "trilinear"}


def pool_grid(x: Float[Tensor, "B N C"], grid: tuple[int, ...], target: tuple[int, ...]) -> Float[Tensor, "B M C"]:
    """Positions of one grid, brought to another: averaged along axes that shrink, interpolated along those that grow.

    Interpolation is linear, with ``align_corners=False``.

    Raises:
        ShapeMismatch: if the grids differ in their number of axes, or have more than three.

    Example:
        >>> pool_grid(torch.tensor([[[1.0], [3.0], [5.0], [7.0]]]), (4,), (2,)).flatten()
        tensor([2., 6.])
    """
    axes = len(grid)
    if axes != len(target) or axes not in _POOL:
        raise ShapeMismatch(
            f"A grid can be brought to another with as many axes, 1 to 3. Found {grid} and {target}. "
            "Pool both sides to a vector (target PoolVector)."
        )
    if grid == target:
        return x
    # [B N C] seen as a channels-last map: no copy if x is contiguous.
    image = x.unflatten(1, grid).movedim(-1, 1)
    smaller = tuple(min(have, want) for have, want in zip(grid, target, strict=True))
    if smaller != grid:
        image = _POOL[axes](image, smaller)
    if smaller != target:
        image = F.interpolate(image, size=target, mode=_INTERPOLATION[axes], align_corners=False)
    return image.movedim(1, -1).flatten(1, axes)


def pool_valid_grid(
    x: Float[Tensor, "B N C"], mask: Bool[Tensor, "B N"], grid: tuple[int, ...], target: tuple[int, ...]
) -> tuple[Float[Tensor, "B M C"], Bool[Tensor, "B M"]]:
    """As :func:`pool_grid`, each average over its valid positions only; a position without any is not valid.

    Example:
        >>> x, mask = torch.tensor([[[1.0], [3.0], [5.0], [7.0]]]), torch.tensor([[True, False, False, False]])
        >>> x, mask = pool_valid_grid(x, mask, (4,), (2,))
        >>> x.flatten(), mask
        (tensor([1., 0.]), tensor([[ True, False]]))
    """
    weight = mask.unsqueeze(-1).to(x.dtype)
    total = pool_grid(x.masked_fill(~mask.unsqueeze(-1), 0.0), grid, target)
    share = pool_grid(weight, grid, target)
    valid = share > 0
    return total / torch.where(valid, share, 1.0), valid.squeeze(-1)


def pool_valid_sequence(
    x: Float[Tensor, "B N C"], mask: Bool[Tensor, "B N"], length: int
) -> tuple[Float[Tensor, "B M C"], Bool[Tensor, "B M"]]:
    """Each sample's own valid positions, averaged to ``length``; padding may stand anywhere.

    Position ``i`` is the mean over the valid ones from ``floor(i n / length)`` to ``ceil((i + 1) n / length)``, with
    ``n`` the sample's number of them: adaptive average pooling of every sample by itself. A sample without a valid
    position gives zeros that are not valid.

    Example:
        >>> x, mask = torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]])
        >>> pool_valid_sequence(x, mask, 2)[0].flatten()
        tensor([1., 3.])
    """
    count = mask.sum(1).view(-1, 1, 1)
    rank = (mask.cumsum(1) - 1).unsqueeze(1)
    place = torch.arange(length, device=x.device).view(1, -1, 1)
    start = torch.div(place * count, length, rounding_mode="floor")
    end = torch.div((place + 1) * count + length - 1, length, rounding_mode="floor")
    member = (rank >= start) & (rank < end) & mask.unsqueeze(1)
    weight = member.to(x.dtype) / member.sum(2, keepdim=True).clamp_min(1).to(x.dtype)
    return weight @ x.masked_fill(~mask.unsqueeze(-1), 0.0), member.any(2)
