"""A task loss that the user gives as a function."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck.context import Context
from limbeck.outputs.family import OutputLoss


class Given(OutputLoss):
    """Use a function of the student's logits and the labels, for tasks that are no classification.

    Formula: whatever the function computes; it must return one number. A plan names it ``{kind: Given}`` and
    ``limbeck.distill(..., task_loss=function)`` supplies it. Source: the user.

    Args:
        function: of logits and labels; the default is the mean squared error (our choice).

    Example:
        >>> import torch
        >>> loss = Given(F.l1_loss)
        >>> loss(Context(student_output=torch.tensor([1.0, 2.0]), targets=torch.tensor([1.0, 4.0])))
        tensor(1.)
    """

    requires = frozenset({"targets"})
    non_negative = False
    raw_labels = True

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor] = F.mse_loss) -> None:
        super().__init__()
        self.function = function

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The function's number."""
        return self.function(context.student_output, context.targets)
