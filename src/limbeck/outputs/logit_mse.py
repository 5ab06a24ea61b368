"""Squared error with the teacher's answers."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import answer_rows
from limbeck._math.masking import masked_mean
from limbeck.context import Context
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import labelled_rows


class LogitMSE(OutputLoss):
    r"""Answer the teacher's own numbers: logits without a softmax, or the predictions of a regression.

    From "Do Deep Nets Really Need to be Deep?" (Ba & Caruana, NeurIPS 2014), https://arxiv.org/abs/1312.6184, eq. 1:

    $$ \frac{1}{M} \sum_m \frac{1}{K} \lVert z^s_m - z^t_m \rVert^2 $$

    over all $M$ answers; where a batch has a class number for each answer, over those whose label is not -100.

    Differs from the paper: the mean over the $K$ logits, and no factor 1/2, as in later code.

    Shapes: answers ``[B]``, ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes.

    Example:
        >>> import torch
        >>> LogitMSE()(Context(student_output=torch.tensor([[1.0, 2.0]]), teacher_output=torch.tensor([[1.0, 4.0]])))
        tensor(2.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"teacher_output"})
    zero_when_equal: ClassVar[bool] = True

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = answer_rows(context.student_output), answer_rows(context.teacher_output)
        return masked_mean((student - teacher).square().mean(1), labelled_rows(context, student))
