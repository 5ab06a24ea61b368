"""One over a loss."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def inverse(losses: Float[Tensor, " L"], *, eps: float) -> Float[Tensor, " L"]:
    r"""$1 / (L + \epsilon)$; 1 for a loss that is not finite, so that a weight of zero does not hide it.

    Example:
        >>> inverse(torch.tensor([4.0, torch.inf]), eps=1e-8)
        tensor([0.2500, 1.0000])
    """
    return torch.where(torch.isfinite(losses), 1 / (losses + eps), 1.0)
