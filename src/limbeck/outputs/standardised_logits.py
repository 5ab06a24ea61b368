"""Soft labels of standardised logits."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import answer_rows, divergence
from limbeck._math.masking import masked_mean
from limbeck.context import Context
from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import labelled_rows

_FEWEST_CLASSES = 5
_EPS = 1e-7


class StandardisedLogits(OutputLoss):
    r"""Answer as the teacher does, up to shift and scale: order and relative distance of the classes count.

    From "Logit Standardization in Knowledge Distillation" (Sun et al., CVPR 2024), https://arxiv.org/abs/2403.01427:

    $$ \frac{T^2}{M} \sum_m \mathrm{KL}\bigl(\operatorname{softmax}(\hat z^t_m / T) \,\Vert\,
       \operatorname{softmax}(\hat z^s_m / T)\bigr), \qquad \hat z = \frac{z - \bar z}{\sigma(z)} $$

    with mean and (unbiased) deviation over the classes of each answer, over the answers that
    :class:`~limbeck.outputs.SoftLabels` counts.

    Differs from the paper: the deviation is $\sqrt{\sigma^2 + 10^{-14}}$ instead of $\sigma + 10^{-7}$, so that the
    gradient is finite where all logits are equal.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]`` with at least 5 classes, the same of both.

    Args:
        temperature: $T$; default 2: official code, which weighs this loss with 9.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes, or in fewer than 5 classes: of two
            standardised logits nothing is left but their order.
        RecipeError: if the temperature is not positive.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[1.0, 2.0, 3.0, 4.0, 9.0]])
        >>> context = Context(student_output=5 * logits + 7, teacher_output=logits)
        >>> bool(StandardisedLogits()(context).abs() < 1e-5)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"teacher_output"})

    def __init__(self, *, temperature: float = 2.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise RecipeError(
                f"StandardisedLogits needs a temperature above 0. Found {temperature}. The paper takes 2."
            )
        self.temperature = temperature

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = answer_rows(context.student_output), answer_rows(context.teacher_output)
        if student.shape[1] < _FEWEST_CLASSES:
            raise ShapeMismatch(
                f"StandardisedLogits needs at least {_FEWEST_CLASSES} classes. Found {student.shape[1]}: standardised, "
                "they say little but their order. Use SoftLabels."
            )
        apart = divergence(_standardised(student), _standardised(teacher), temperature=self.temperature)
        return masked_mean(apart, labelled_rows(context, student))

    def extra_repr(self) -> str:
        """Options."""
        return f"temperature={self.temperature}"


def _standardised(rows: Float[Tensor, "M K"]) -> Float[Tensor, "M K"]:
    return (rows - rows.mean(1, keepdim=True)) / (rows.var(1, keepdim=True) + _EPS**2).sqrt()
