"""Binary cross-entropy with labels."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.masking import masked_mean
from limbeck.context import Context
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import IGNORED, not_padding, numbers_like


class BinaryCrossEntropy(OutputLoss):
    r"""Answer yes or no as the labels say, each logit for itself: two classes in one logit, or several labels at once.

    The likelihood of logistic regression (Bishop, "Pattern Recognition and Machine Learning", 2006, eq. 4.90),
    https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/:

    $$ -\frac{1}{M} \sum_m y_m \log \sigma(z_m) + (1 - y_m) \log (1 - \sigma(z_m)) $$

    over the $M$ logits whose label is not -100; 0 if there is none.

    Shapes: logits of any shape, with labels from 0 to 1 of the same shape, axes of length one aside.

    Raises:
        DataError: if the batch has no labels, or labels that are no tensor.
        ShapeMismatch: if there is not one label for each logit.

    Example:
        >>> import torch
        >>> sure = torch.tensor([[20.0], [-20.0]])
        >>> bool(BinaryCrossEntropy()(Context(torch.tensor([1, 0]), student_output=sure)) < 1e-6)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"targets"})
    numeric_labels: ClassVar[bool] = True

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        logits = context.student_output
        labels = numbers_like(logits, context.targets, self)
        valid, counted = not_padding(context, logits), labels != IGNORED
        counted = counted if valid is None else counted & valid
        each = F.binary_cross_entropy_with_logits(logits, labels.masked_fill(~counted, 0.0), reduction="none")
        return masked_mean(each, counted)
