"""The most probable classes of answers, and what is known of the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import answer_rows, class_axis
from limbeck._math.pieces import PIECE
from limbeck.context import TopAnswers

# exp of it is 0 in float64, and it is small enough to be written down.
_NOTHING = -1e4


@torch.no_grad()
def top_answers(logits: Float[Tensor, "*shape"], kept: int, temperatures: Sequence[float]) -> TopAnswers:
    """What is known of answers of which the ``kept`` most probable classes are kept.

    A piece of the logits is raised to full precision at a time.

    Args:
        logits: ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``.
        kept: how many classes; all where there are no more.
        temperatures: for which the sum over all others is kept.

    Example:
        >>> answers = top_answers(torch.tensor([[0.2, 0.5, 0.3]]).log(), 1, [1.0])
        >>> answers.indices, answers.at(1.0).exp()
        (tensor([[1]]), tensor([[0.5000, 0.5000]]))
    """
    rows, shape = answer_rows(logits), logits.select(class_axis(logits), 0).shape
    kept = min(kept, rows.shape[1])
    pieces = [_top(piece, kept, temperatures) for piece in rows.split(max(1, PIECE // rows.shape[1]))]
    logs, classes, rest = (torch.cat(each) for each in zip(*pieces, strict=True))
    rest = {temperature: rest[:, index].reshape(shape) for index, temperature in enumerate(temperatures)}
    return TopAnswers(logs.reshape(*shape, kept), classes.reshape(*shape, kept), rest, rows.shape[1])


def _top(
    logits: Float[Tensor, "M K"], kept: int, temperatures: Sequence[float]
) -> tuple[Tensor, Tensor, Float[Tensor, "M T"]]:
    logs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
    top = logs.topk(kept, dim=-1)
    others = logs.scatter(-1, top.indices, -torch.inf)
    rest = torch.stack([(others / each).logsumexp(-1) for each in temperatures], dim=-1)
    return top.values, top.indices, rest.clamp_min(_NOTHING)


@torch.no_grad()
def spread_apart(
    logits: Float[Tensor, "*shape"], known: TopAnswers, temperature: float
) -> tuple[Float[Tensor, "*answers"], Float[Tensor, "*answers"]]:
    """What is lost of each answer by knowing only this: nats, and the share of the other classes.

    The divergence of the answer from the most that can be rebuilt: the known classes, and the others all alike.

    Example:
        >>> logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
        >>> apart, rest = spread_apart(logits, top_answers(logits, 1, [1.0]), 1.0)
        >>> float(rest), bool(abs(apart - (0.3 * math.log(0.3 / 0.25) + 0.2 * math.log(0.2 / 0.25))) < 1e-6)
        (0.5, True)
    """
    rows, shape = answer_rows(logits), known.indices.shape[:-1]
    held = known.at(temperature).flatten(0, -2)
    others = max(1, known.classes - known.kept)
    found: list[Tensor] = []
    step = max(1, PIECE // rows.shape[1])
    pieces = (each.split(step) for each in (rows, held, known.indices.flatten(0, -2)))
    for logs, mine, classes in zip(*pieces, strict=True):
        full = (logs.float() / temperature).log_softmax(-1)
        rebuilt = (mine[:, -1:] - math.log(others)).expand_as(full).scatter(-1, classes, mine[:, :-1])
        found.append((full.exp() * (full - rebuilt)).nan_to_num(0.0).sum(-1).clamp_min(0.0))
    return torch.cat(found).reshape(shape), held[:, -1].exp().reshape(shape)
