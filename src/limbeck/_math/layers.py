"""Layers with weights, computed in the precision of what they are applied to."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck.errors import ShapeMismatch

_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def linear(
    x: Float[Tensor, "*shape C"], weight: Float[Tensor, "D C"], bias: Float[Tensor, " D"] | None = None
) -> Float[Tensor, "*shape D"]:
    """A linear map whose weights take on the precision of ``x``.

    Example:
        >>> import torch
        >>> linear(torch.ones(1, 2, dtype=torch.float64), torch.ones(3, 2)).dtype
        torch.float64
    """
    return F.linear(x, weight.to(x.dtype), _as(bias, x))


def convolve(
    x: Float[Tensor, "B N C"],
    grid: tuple[int, ...],
    weight: Float[Tensor, "D C *kernel"],
    bias: Float[Tensor, " D"] | None = None,
) -> Float[Tensor, "B N D"]:
    """A convolution over positions that form a grid, which keeps the grid; the kernel's sides are odd.

    Raises:
        ShapeMismatch: if the grid has another number of axes than the kernel.

    Example:
        >>> import torch
        >>> x = torch.tensor([[[1.0], [2.0], [3.0]]])
        >>> convolve(x, (3,), torch.ones(1, 1, 3)).flatten()
        tensor([3., 6., 5.])
    """
    axes = weight.ndim - 2
    if len(grid) != axes:
        raise ShapeMismatch(
            f"A convolution over {axes} axes needs a grid with as many. Found {grid}. Build the loss for this link, or "
            "use one that needs no grid (MSE)."
        )
    image = x.unflatten(1, grid).movedim(-1, 1)
    padding = tuple(side // 2 for side in weight.shape[2:])
    image = _CONVOLVE[axes](image, weight.to(x.dtype), _as(bias, x), padding=padding)
    return image.movedim(1, -1).flatten(1, axes)


def _as(bias: Float[Tensor, " D"] | None, x: Float[Tensor, "*shape"]) -> Float[Tensor, " D"] | None:
    return None if bias is None else bias.to(x.dtype)
