"""Soft labels whose label is enhanced."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import answer_rows
from limbeck._math.masking import masked_mean
from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import class_numbers


class OFA(OutputLoss):
    r"""Soft labels in which the label counts for more the surer the teacher is of it; made for unlike architectures.

    The loss of "One-for-All: Bridge the Gap Between Heterogeneous Architectures in Knowledge Distillation" (Hao et al.,
    NeurIPS 2023), https://arxiv.org/abs/2310.19444, on the final logits:

    $$ -\frac{1}{M} \sum_m \sum_k \bigl( (p^t_{mk} + [k = y_m])^\gamma - [k = y_m] \bigr) \log p^s_{mk},
       \qquad p = \operatorname{softmax}(z / T) $$

    over the $M$ answers whose label $y_m$ is not -100, 0 if there is none. A cross-entropy: its least value is not 0.
    At $\gamma = 1$ its gradient is that of :class:`~limbeck.outputs.SoftLabels`, without $T^2$.

    Differs from the paper: only the term of the final logits; the paper adds the same for branches at every stage.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both, with class numbers ``[B]``,
    ``[B, N]`` or ``[B, H, W]``.

    Args:
        gamma: $\gamma$, at least 1; default 1.5: official code, ImageNet; 1 on CIFAR-100.
        temperature: $T$; default 1: official code.

    Raises:
        DataError: if the batch has no labels, or labels that are no class numbers.
        ShapeMismatch: if student, teacher and labels do not fit, or there is only one class.
        RecipeError: if the temperature is not positive or gamma is below 1.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 0.0]])
        >>> # (3/2)^2 - 1 for the label and (1/2)^2 for the other class, times ln 2.
        >>> OFA(gamma=2.0)(Context(torch.tensor([1]), student_output=logits, teacher_output=logits))
        tensor(1.0397)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"targets", "teacher_output"})

    def __init__(self, *, gamma: float = 1.5, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0 or gamma < 1:
            raise RecipeError(
                f"OFA needs a temperature above 0 and a gamma of at least 1. Found temperature {temperature}, gamma "
                f"{gamma}. The official code takes 1, and 1 or 1.5."
            )
        self.gamma = gamma
        self.temperature = temperature

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = answer_rows(context.student_output), answer_rows(context.teacher_output)
        labels, counted = class_numbers(context.targets, student, self)
        label = F.one_hot(labels, student.shape[1]).to(student.dtype)
        enhanced = (F.softmax(teacher / self.temperature, dim=1) + label) ** self.gamma - label
        return -masked_mean((enhanced * F.log_softmax(student / self.temperature, dim=1)).sum(1), counted)

    def extra_repr(self) -> str:
        """Options."""
        return f"gamma={self.gamma}, temperature={self.temperature}"
