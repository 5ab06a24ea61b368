"""What a validation measures; larger is better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor

from limbeck.errors import RecipeError, nearest

Metric = Callable[[Tensor, Any], Tensor]


def accuracy(logits: Tensor, targets: Tensor) -> Float[Tensor, " n"]:
    """1 for each right answer, 0 for each wrong one.

    Class labels are compared with the largest logit, over valid tokens (label -100 is left out); float targets of the
    logits' own shape are taken as multi-label, each logit right if its sign says what the label says.

    Example:
        >>> import torch
        >>> accuracy(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 1]))
        tensor([1., 0.])
    """
    if targets.is_floating_point() and targets.shape == logits.shape:
        return ((logits > 0) == (targets > 0.5)).float().flatten()
    right = (logits.argmax(-1) == targets).float()
    return right[targets != -100].flatten()


def negative_error(outputs: Tensor, targets: Tensor) -> Float[Tensor, " n"]:
    """Minus the squared error, for regression.

    Example:
        >>> import torch
        >>> negative_error(torch.tensor([1.0]), torch.tensor([3.0]))
        tensor([-4.])
    """
    return -(outputs.float().reshape(targets.shape) - targets.float()).square().flatten()


METRICS: dict[str, Metric] = {"accuracy": accuracy, "negative_error": negative_error}


def metric_of(metric: str | Metric) -> Metric:
    """A metric by name, or the one given.

    Raises:
        RecipeError: if there is none of that name.
    """
    if not isinstance(metric, str):
        return metric
    if metric not in METRICS:
        raise RecipeError(f"There is no metric '{metric}'. {nearest(metric, METRICS)} Or give a function.")
    return METRICS[metric]
