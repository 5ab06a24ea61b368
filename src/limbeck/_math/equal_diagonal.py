"""Rotations after which all axes have the same variance."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck._math.hadamard import hadamard


def equal_diagonal(variances: Float[Tensor, " C"]) -> Float[Tensor, "C C"]:
    r"""An orthogonal $R$ for which $R \Lambda R^\top$ has the mean of $\Lambda$ everywhere on its diagonal.

    A Hadamard matrix over $\sqrt C$, which does so for every $\Lambda$; where there is none of this order, $C - 1$
    rotations of two axes each, of which one then has the mean: exact too, but for this $\Lambda$ only.

    Example:
        >>> variances = torch.tensor([9.0, 2.0, 1.0], dtype=torch.float64)
        >>> turned = equal_diagonal(variances)
        >>> (turned @ torch.diag(variances) @ turned.T).diagonal().round(decimals=6)
        tensor([4., 4., 4.], dtype=torch.float64)
    """
    order = len(variances)
    matrix = hadamard(order)
    return _by_plane_rotations(variances) if matrix is None else matrix.to(variances) / order**0.5


def _by_plane_rotations(variances: Float[Tensor, " C"]) -> Float[Tensor, "C C"]:
    mean = variances.mean()
    left, rows = variances.clone(), torch.eye(len(variances), dtype=variances.dtype, device=variances.device)
    done = torch.zeros(len(variances), dtype=torch.bool, device=variances.device)
    for _ in range(len(variances) - 1):
        # No axis that is turned now has been mixed with the other one before, so that their covariance is zero.
        high = int(left.masked_fill(done, -torch.inf).argmax())
        low = int(left.masked_fill(done, torch.inf).argmin())
        if left[high] - left[low] <= 1e-15 * mean:
            break
        cosine = ((mean - left[low]) / (left[high] - left[low])).clamp(0.0, 1.0).sqrt()
        sine = (1 - cosine.square()).sqrt()
        turned, rest = cosine * rows[high] + sine * rows[low], cosine * rows[low] - sine * rows[high]
        rows[high], rows[low] = turned, rest
        left[low] = left[high] + left[low] - mean
        left[high] = mean
        done[high] = True
    return rows
