"""Logits as rows of one answer each, and how two answers diverge."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

NEVER = -1e30
"""A log-probability of 0 for all that counts, whose product with 0 is 0."""


def answer_rows(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "M K"]:
    """Every answer as a row: ``[B, K]`` as it is, ``[B, N, K]`` by token, ``[B, K, H, W]`` by pixel.

    ``[B]``, one number for each sample, becomes ``[B, 1]``.

    Example:
        >>> import torch
        >>> answer_rows(torch.zeros(2, 5, 3)).shape, answer_rows(torch.zeros(2, 3, 4, 4)).shape
        (torch.Size([10, 3]), torch.Size([32, 3]))
    """
    if logits.ndim == 1:
        return logits.unsqueeze(-1)
    if logits.ndim > 3:
        logits = logits.movedim(1, -1)
    return logits.flatten(0, -2)


def class_axis(logits: Float[Tensor, "*shape"]) -> int:
    """The axis of the classes: the last, or the second in answers for each pixel (``[B, K, H, W]``)."""
    return 1 if logits.ndim > 3 else -1


def divergence(
    student: Float[Tensor, "M K"], teacher: Float[Tensor, "M K"], *, temperature: float
) -> Float[Tensor, " M"]:
    r"""$T^2 \, \mathrm{KL}(\text{teacher} \,\Vert\, \text{student})$ of the answers softened by $T$, row by row."""
    mine = F.log_softmax(student / temperature, dim=-1)
    theirs = F.log_softmax(teacher / temperature, dim=-1)
    return F.kl_div(mine, theirs, reduction="none", log_target=True).sum(-1) * temperature**2


def kl(first: Float[Tensor, "M K"], second: Float[Tensor, "M K"]) -> Float[Tensor, " M"]:
    r"""$\mathrm{KL}(\text{first} \,\Vert\, \text{second})$ of log-probabilities, row by row."""
    # Rounding alone would bring it below zero.
    return (first.exp() * (first - second)).sum(-1).clamp_min(0.0)


def log_mixture(first: Float[Tensor, "M K"], second: Float[Tensor, "M K"], *, share: float) -> Float[Tensor, "M K"]:
    """Log-probabilities of a mixture that takes ``share`` (below 1) from the first and the rest from the second.

    Example:
        >>> import torch
        >>> sure, unsure = torch.tensor([[1.0, 0.0]]).log().clamp_min(NEVER), torch.tensor([[0.5, 0.5]]).log()
        >>> log_mixture(sure, unsure, share=0.5).exp()
        tensor([[0.7500, 0.2500]])
    """
    if share == 0:
        return second
    return torch.logaddexp(first + math.log(share), second + math.log1p(-share))


def classes_and_rest(logits: Float[Tensor, "M K"], classes: Int[Tensor, "M k"]) -> Float[Tensor, "M k+1"]:
    """Log-probabilities of some classes of each row, and of all others together.

    Example:
        >>> import torch
        >>> classes_and_rest(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([[0]])).exp()
        tensor([[0.5000, 0.5000]])
    """
    whole = logits.logsumexp(-1, keepdim=True)
    rest = logits.scatter(-1, classes, NEVER).logsumexp(-1, keepdim=True)
    return (torch.cat([logits.gather(-1, classes), rest], dim=-1) - whole).clamp_min(NEVER)


def among_others(logits: Float[Tensor, "M K"], labels: Int[Tensor, " M"]) -> Float[Tensor, "M K"]:
    """Log-probabilities given that the class is not the labelled one, which has :data:`NEVER`.

    Example:
        >>> import torch
        >>> among_others(torch.tensor([[0.5, 0.25, 0.25]]).log(), torch.tensor([0])).exp()
        tensor([[0.0000, 0.5000, 0.5000]])
    """
    return F.log_softmax(logits.scatter(-1, labels.unsqueeze(-1), NEVER), dim=-1)
