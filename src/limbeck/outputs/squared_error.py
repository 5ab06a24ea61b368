"""Squared error with labels."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import masked_mean
from limbeck.context import Context
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import not_padding, numbers_like


class SquaredError(OutputLoss):
    r"""Answer the numbers that the labels are: regression.

    Least squares (Legendre 1805; https://en.wikipedia.org/wiki/Least_squares):

    $$ \frac{1}{M} \sum_m (z_m - y_m)^2 $$

    over all $M$ numbers. Labels of large units outweigh every other loss: divide them by their deviation first.

    Shapes: answers of any shape, with labels of the same shape, axes of length one aside.

    Raises:
        DataError: if the batch has no labels, or labels that are no tensor.
        ShapeMismatch: if there is not one label for each answer.

    Example:
        >>> import torch
        >>> SquaredError()(Context(torch.tensor([1.0, 5.0]), student_output=torch.tensor([[1.0], [3.0]])))
        tensor(2.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"targets"})
    numeric_labels: ClassVar[bool] = True

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        answers = context.student_output
        errors = (answers - numbers_like(answers, context.targets, self)).square()
        return masked_mean(errors, not_padding(context, answers))
