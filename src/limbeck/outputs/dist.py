"""Correlation with a stronger teacher's answers."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import answer_rows
from limbeck._math.correlation import pearson
from limbeck._math.masking import masked_mean
from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import labelled_rows


class DIST(OutputLoss):
    r"""Prefer the same classes for a sample, and the same samples for a class; how strongly is left to the student.

    From "Knowledge Distillation from A Stronger Teacher" (Huang et al., NeurIPS 2022),
    https://arxiv.org/abs/2205.10536:

    $$ T^2 \Bigl( \beta \, \frac{1}{M} \sum_m \bigl(1 - \rho(p^s_{m \cdot}, p^t_{m \cdot})\bigr) +
       \gamma \, \frac{1}{K} \sum_k \bigl(1 - \rho(p^s_{\cdot k}, p^t_{\cdot k})\bigr) \Bigr) $$

    with $p = \operatorname{softmax}(z / T)$ and Pearson's correlation $\rho$ (its denominator raised by $10^{-8}$, as
    in the official code), over the $M$ answers that :class:`~limbeck.outputs.SoftLabels` counts. The second term
    compares the samples of a batch: it needs large batches (64 and more), and is 0 with fewer than 2 answers.

    Differs from the paper: nothing.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both, of at least 2 samples.

    Args:
        beta: $\beta$, of the relation between classes; default 1: paper, ImageNet; 2 on CIFAR-100.
        gamma: $\gamma$, of the relation between samples; default 1: paper, ImageNet; 2 on CIFAR-100.
        temperature: $T$; default 1: paper, ImageNet; 4 on CIFAR-100.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes, or the batch is too small.
        RecipeError: if the temperature is not positive or a weight is negative.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[1.0, 2.0, 4.0], [3.0, 0.0, 1.0]])
        >>> bool(DIST()(Context(student_output=logits + 7, teacher_output=logits)).abs() < 1e-5)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"teacher_output"})
    zero_when_equal: ClassVar[bool] = True
    minimum_batch: ClassVar[int] = 2

    def __init__(self, *, beta: float = 1.0, gamma: float = 1.0, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0 or min(beta, gamma) < 0:
            raise RecipeError(
                f"DIST needs a temperature above 0 and weights of at least 0. Found temperature {temperature}, beta "
                f"{beta}, gamma {gamma}. The paper takes 1, 1 and 1, or 4, 2 and 2."
            )
        self.beta = beta
        self.gamma = gamma
        self.temperature = temperature

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = (
            F.softmax(answer_rows(each) / self.temperature, dim=1)
            for each in (context.student_output, context.teacher_output)
        )
        counted = labelled_rows(context, student)
        classes = masked_mean(1 - pearson(student, teacher), counted)
        samples = (1 - pearson(student.T, teacher.T, counted)).mean()
        if counted is not None:
            samples = samples * (counted.sum() > 1)
        return (self.beta * classes + self.gamma * samples) * self.temperature**2

    def extra_repr(self) -> str:
        """Options."""
        return f"beta={self.beta}, gamma={self.gamma}, temperature={self.temperature}"
