"""The loss that the student's own forward returns."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from limbeck.context import Context
from limbeck.errors import DataError
from limbeck.outputs.family import OutputLoss


class OwnLoss(OutputLoss):
    """Use ``output.loss`` of a model that computes its own, as Hugging Face models do when called with ``labels``.

    Formula: whatever the model defines. The distiller adds the batch's labels to the student's inputs under the name
    ``labels`` if this loss is used. Source: the model's documentation (https://huggingface.co/docs/transformers).

    Raises:
        DataError: if the student's forward returned no loss.

    Example:
        >>> import torch
        >>> OwnLoss()(Context(student_output=torch.zeros(2, 3), student_loss=torch.tensor(1.5)))
        tensor(1.5000)
    """

    requires = frozenset({"student_loss"})
    non_negative = False

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The model's own number."""
        if context.student_loss is None:
            raise DataError("OwnLoss needs a student whose forward returns a loss. Found none. Use CrossEntropy.")
        return context.student_loss
