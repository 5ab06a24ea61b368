"""What several answers to the same question are in the mean, as one answer of the same form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import class_axis

Mean = Callable[[Sequence[Tensor], Tensor], Tensor]
"""From answers of one shape, and their weights in sum 1, to one answer of that shape."""


def mean_probabilities(answers: Sequence[Tensor], weights: Float[Tensor, " M"]) -> Float[Tensor, "*shape"]:
    r"""Logits whose softmax is the mean of the answers' probabilities: $\log \sum_m w_m \operatorname{softmax}(z_m)$.

    The arithmetic mean of "Distilling the Knowledge in a Neural Network" (Hinton et al. 2015),
    https://arxiv.org/abs/1503.02531, which names it beside the geometric one (the mean of the logits). At temperature 1
    a divergence from it has the gradient of the mean of the divergences from each answer; and no member counts for more
    because its logits are larger. At another temperature the mean itself is softened, not the answers before.

    Args:
        answers: of the same shape, with their classes on the axis of :func:`~limbeck._math.answers.class_axis`.
        weights: of the answers, in sum 1.

    Example:
        >>> sure, unsure = torch.tensor([[100.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> mean_probabilities([sure, unsure], torch.tensor([0.5, 0.5])).softmax(-1)
        tensor([[0.7500, 0.2500]])
    """
    axis = class_axis(answers[0])
    return _mixed([F.log_softmax(each.float(), axis) for each in answers], weights)


def mean_yes_or_no(answers: Sequence[Tensor], weights: Float[Tensor, " M"]) -> Float[Tensor, "*shape"]:
    r"""Logits whose sigmoid is the mean of the answers' probabilities of a yes, label by label.

    Args:
        answers: of the same shape, one logit for each yes or no.
        weights: of the answers, in sum 1.

    Example:
        >>> answers = [torch.tensor([[100.0, -3.0]]), torch.tensor([[0.0, -3.0]])]
        >>> mean_yes_or_no(answers, torch.tensor([0.5, 0.5])).sigmoid()
        tensor([[0.7500, 0.0474]])
    """
    yes, no = (_mixed([F.logsigmoid(sign * each.float()) for each in answers], weights) for sign in (1, -1))
    return yes - no


def mean_numbers(answers: Sequence[Tensor], weights: Float[Tensor, " M"]) -> Float[Tensor, "*shape"]:
    """The mean of the numbers themselves, as of a regression.

    Args:
        answers: of the same shape.
        weights: of the answers, in sum 1.

    Example:
        >>> mean_numbers([torch.tensor([[1.0]]), torch.tensor([[3.0]])], torch.tensor([0.25, 0.75]))
        tensor([[2.5000]])
    """
    stacked = torch.stack([each.float() for each in answers])
    return (stacked * _along(weights, stacked)).sum(0)


def _mixed(logs: Sequence[Tensor], weights: Tensor) -> Tensor:
    """The log of the weighted sum of what the logs are of."""
    stacked = torch.stack(list(logs))
    return torch.logsumexp(stacked + _along(weights, stacked).log(), 0)


def _along(weights: Tensor, stacked: Tensor) -> Tensor:
    return weights.to(stacked).reshape(-1, *[1] * (stacked.ndim - 1))
