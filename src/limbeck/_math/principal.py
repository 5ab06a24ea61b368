"""Matrices seen along the directions in which they vary most."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# Of the longest direction: what is shorter is rounding of features in float32.
_SHORTEST = 1e-6


def principal(x: Float[Tensor, "M C"], most: int) -> Float[Tensor, "M R"]:
    """Centred rows along their principal axes, in float64; at most ``most`` axes, and none along which nothing varies.

    Costs an eigendecomposition of the smaller of the two Gram matrices.

    Example:
        >>> x = torch.tensor([[3.0, 3.0, 1.0], [0.0, 0.0, 1.0], [-3.0, -3.0, 1.0]])
        >>> principal(x, 2).abs().round(decimals=4)   # they vary along one line
        tensor([[4.2426],
                [0.0000],
                [4.2426]], dtype=torch.float64)
    """
    samples, channels = x.shape
    # Exactly zero where all rows are equal, which the difference to their mean is not.
    x = (x - x[:1]).double()
    x = x - x.mean(0)
    wide = channels > samples
    squares, vectors = torch.linalg.eigh(x @ x.T if wide else x.T @ x)
    squares, vectors = squares.flip(0)[:most], vectors.flip(1)[:, :most]
    kept = squares > _SHORTEST**2 * squares[:1].clamp_min(torch.finfo(x.dtype).tiny)
    vectors = vectors[:, kept]
    return vectors * squares[kept].sqrt() if wide else x @ vectors
