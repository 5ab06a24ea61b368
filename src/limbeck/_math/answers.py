"""Logits as rows of one answer each, and how two answers diverge."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def answer_rows(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "M K"]:
    """Every answer as a row: ``[B, K]`` as it is, ``[B, N, K]`` by token, ``[B, K, H, W]`` by pixel.

    Example:
        >>> import torch
        >>> answer_rows(torch.zeros(2, 5, 3)).shape, answer_rows(torch.zeros(2, 3, 4, 4)).shape
        (torch.Size([10, 3]), torch.Size([32, 3]))
    """
    if logits.ndim > 3:
        logits = logits.movedim(1, -1)
    return logits.flatten(0, -2)


def divergence(
    student: Float[Tensor, "M K"], teacher: Float[Tensor, "M K"], *, temperature: float
) -> Float[Tensor, " M"]:
    r"""$T^2 \, \mathrm{KL}(\text{teacher} \,\Vert\, \text{student})$ of the answers softened by $T$, row by row."""
    mine = F.log_softmax(student / temperature, dim=-1)
    theirs = F.log_softmax(teacher / temperature, dim=-1)
    return F.kl_div(mine, theirs, reduction="none", log_target=True).sum(-1) * temperature**2
