"""How far two features are apart, position by position."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def cosine_distance(
    student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], *, eps: float
) -> Float[Tensor, "B N"]:
    r"""One less the cosine, as $\frac12 \lVert \hat s - \hat t \rVert^2$: exact where the two almost agree.

    A vector shorter than ``eps`` is divided by ``eps`` instead of by its length, so that its gradient stays finite.

    Example:
        >>> import torch
        >>> east, north = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[0.0, 5.0]]])
        >>> cosine_distance(east, north, eps=1e-6)
        tensor([[1.]])
    """
    difference = F.normalize(student, dim=-1, eps=eps) - F.normalize(teacher, dim=-1, eps=eps)
    return difference.square().sum(-1) / 2
