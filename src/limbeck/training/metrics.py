"""What a validation measures; larger is better."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Float, Int, Shaped
from torch import Tensor

from limbeck._math.answers import answer_rows
from limbeck.errors import RecipeError, nearest
from limbeck.outputs.labelled import IGNORED

Metric = Callable[[Tensor, Any], Tensor]


class Answers(NamedTuple):
    """Class numbers, answered and right ones, of every answer that has a label.

    Attributes:
        given: what was answered.
        right: what the labels say.
    """

    given: Int[Tensor, " n"]
    right: Int[Tensor, " n"]


def class_answers(logits: Float[Tensor, "*shape"], targets: Shaped[Tensor, "*labels"]) -> Answers:
    """The answers of a classification, those labelled -100 left out.

    Labels are class numbers, or shares of the classes of the logits' own shape: then the largest is the right one.
    Classes stand on the last axis, on the second of maps ``[B, K, H, W]``. One logit answers 1 if it is above zero.

    Example:
        >>> import torch
        >>> class_answers(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, -100]))
        Answers(given=tensor([1]), right=tensor([1]))
    """
    rows = answer_rows(logits)
    if rows.shape[1] == 1:
        given, right = (rows > 0).flatten().long(), targets.flatten().long()
    elif targets.shape == logits.shape:
        given, right = rows.argmax(1), answer_rows(targets).argmax(1)
    else:
        given, right = rows.argmax(1), targets.flatten().long()
    counted = right != IGNORED
    return Answers(given[counted], right[counted])


def accuracy(logits: Tensor, targets: Tensor) -> Float[Tensor, " n"]:
    """1 for each right answer, 0 for each wrong one, as :func:`class_answers` reads them.

    Example:
        >>> import torch
        >>> accuracy(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 1]))
        tensor([1., 0.])
    """
    answers = class_answers(logits, targets)
    return (answers.given == answers.right).float()


def label_accuracy(logits: Tensor, targets: Tensor) -> Float[Tensor, " n"]:
    """1 for each logit whose sign says what its label from 0 to 1 says, for several labels at once.

    Example:
        >>> import torch
        >>> label_accuracy(torch.tensor([[2.0, -1.0]]), torch.tensor([[1, 1]]))
        tensor([1., 0.])
    """
    counted = targets != IGNORED
    return ((logits.reshape(targets.shape) > 0) == (targets > 0.5))[counted].float()


def negative_error(outputs: Tensor, targets: Tensor) -> Float[Tensor, " n"]:
    """Minus the squared error, for regression.

    Example:
        >>> import torch
        >>> negative_error(torch.tensor([1.0]), torch.tensor([3.0]))
        tensor([-4.])
    """
    return -(outputs.float().reshape(targets.shape) - targets.float()).square().flatten()


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "label_accuracy": label_accuracy,
    "negative_error": negative_error,
}


def metric_of(metric: str | Metric) -> Metric:
    """A metric by name, or the one given.

    Raises:
        RecipeError: if there is none of that name.
    """
    if not isinstance(metric, str):
        return metric
    if metric not in METRICS:
        raise RecipeError(
            f"There is no metric '{metric}'. {nearest(metric, [*METRICS, 'auto'])} Or give a function of logits and "
            "labels."
        )
    return METRICS[metric]
