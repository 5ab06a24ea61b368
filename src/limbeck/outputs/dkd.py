"""Decoupled knowledge distillation."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import among_others, answer_rows, classes_and_rest, kl
from limbeck._math.masking import masked_mean
from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import class_numbers


class DKD(OutputLoss):
    r"""Soft labels in two parts, each with its own weight: how sure of the label, and how likely the other classes.

    From "Decoupled Knowledge Distillation" (Zhao et al., CVPR 2022), https://arxiv.org/abs/2203.08679:

    $$ \frac{T^2}{M} \sum_m \alpha \, \mathrm{KL}(b^t_m \,\Vert\, b^s_m) +
       \beta \, \mathrm{KL}(\hat p^t_m \,\Vert\, \hat p^s_m) $$

    with $p = \operatorname{softmax}(z / T)$, $b = (p_y, 1 - p_y)$ for the label $y$, and $\hat p$ the softmax over all
    classes but $y$; over the $M$ answers whose label is not -100, 0 if there is none. $\alpha = 1$ and
    $\beta = 1 - p^t_y$ would be :class:`~limbeck.outputs.SoftLabels`.

    Differs from the paper: nothing; the other classes are left out exactly, where the official code lowers the label's
    logit by 1000. The paper raises the weight from 0 over 20 epochs: schedule ``WarmUp``.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both, with class numbers ``[B]``,
    ``[B, N]`` or ``[B, H, W]``.

    Args:
        alpha: $\alpha$; default 1: paper.
        beta: $\beta$; default 8: paper, CIFAR-100; it takes 0.25 to 8, less where the teacher is less sure.
        temperature: $T$; default 4: paper, CIFAR-100; 1 on ImageNet.

    Raises:
        DataError: if the batch has no labels, or labels that are no class numbers.
        ShapeMismatch: if student, teacher and labels do not fit, or there is only one class.
        RecipeError: if the temperature is not positive or a weight is negative.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[1.0, 2.0, 3.0]])
        >>> context = Context(torch.tensor([2]), student_output=logits + 7, teacher_output=logits)
        >>> bool(DKD()(context).abs() < 1e-5)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"targets", "teacher_output"})
    zero_when_equal: ClassVar[bool] = True

    def __init__(self, *, alpha: float = 1.0, beta: float = 8.0, temperature: float = 4.0) -> None:
        super().__init__()
        if temperature <= 0 or min(alpha, beta) < 0:
            raise RecipeError(
                f"DKD needs a temperature above 0 and weights of at least 0. Found temperature {temperature}, alpha "
                f"{alpha}, beta {beta}. The paper takes 4, 1 and 8."
            )
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = answer_rows(context.student_output), answer_rows(context.teacher_output)
        labels, counted = class_numbers(context.targets, student, self)
        student, teacher = student / self.temperature, teacher / self.temperature
        target = kl(*(classes_and_rest(each, labels.unsqueeze(1)) for each in (teacher, student)))
        others = kl(among_others(teacher, labels), among_others(student, labels))
        return masked_mean(self.alpha * target + self.beta * others, counted) * self.temperature**2

    def extra_repr(self) -> str:
        """Options."""
        return f"alpha={self.alpha}, beta={self.beta}, temperature={self.temperature}"
