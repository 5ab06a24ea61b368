"""Squared error with the teacher's answers, in units of their deviation."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.answers import answer_rows
from limbeck._math.masking import masked_mean
from limbeck.context import Context
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import labelled_rows

_EPS = 1e-6


class StandardisedMSE(OutputLoss):
    r"""Predict what the teacher predicts, each output in units of how much the teacher's varies: for regressions.

    The standardised error of "Gaussian Processes for Machine Learning" (Rasmussen & Williams, MIT Press 2006), sec.
    2.5, https://gaussianprocess.org/gpml/, with the teacher's predictions for targets:

    $$ \frac{1}{K} \sum_k \frac{1}{M} \sum_m \frac{(z^s_{mk} - z^t_{mk})^2}{\sigma_k^2 + 10^{-6}} $$

    with the variance $\sigma_k^2$ of the teacher's output $k$ over the $M$ answers of the batch; where a batch has a
    class number for each answer, over those whose label is not -100. Predicting the teacher's mean gives 1, so that one
    weight suits outputs of any unit and number.

    Differs from the book: the variance is that of the batch, not of all data.

    Shapes: answers ``[B]``, ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both, of at least 2 samples.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes, or the batch is too small.

    Example:
        >>> import torch
        >>> teacher = torch.tensor([[100.0], [300.0]])
        >>> StandardisedMSE()(Context(student_output=torch.tensor([[200.0], [200.0]]), teacher_output=teacher))
        tensor(1.)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"teacher_output"})
    zero_when_equal: ClassVar[bool] = True
    minimum_batch: ClassVar[int] = 2

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = answer_rows(context.student_output), answer_rows(context.teacher_output)
        counted = labelled_rows(context, student)
        kept = None if counted is None else counted.unsqueeze(1).expand_as(teacher)
        mean = _mean_of_columns(teacher, kept)
        variance = _mean_of_columns((teacher - mean).square(), kept)
        return masked_mean((student - teacher).square() / (variance + _EPS), kept)


def _mean_of_columns(rows: Float[Tensor, "M K"], kept: Bool[Tensor, "M K"] | None) -> Float[Tensor, " K"]:
    if kept is None:
        return rows.mean(0)
    return rows.masked_fill(~kept, 0.0).sum(0) / kept.sum(0).clamp_min(1)
