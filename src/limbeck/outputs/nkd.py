"""Normalised knowledge distillation."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import among_others, answer_rows
from limbeck._math.masking import masked_mean
from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import class_numbers


class NKD(OutputLoss):
    r"""Follow the label as surely as the teacher does, and the teacher among the other classes.

    From "From Knowledge Distillation to Self-Knowledge Distillation: A Unified Approach with Normalized Loss and
    Customized Soft Labels" (Yang et al., ICCV 2023), https://arxiv.org/abs/2303.13005:

    $$ -\frac{1}{M} \sum_m p^t_{my} \log p^s_{my} + \gamma T^2 \sum_{k \ne y} \hat p^t_{mk} \log \hat p^s_{mk} $$

    with $p = \operatorname{softmax}(z)$, $y$ the label, and $\hat p$ the softmax of $z / T$ over all classes but $y$;
    over the $M$ answers whose label is not -100, 0 if there is none. A cross-entropy: its least value is not 0.

    Differs from the paper: nothing; the other classes are left out exactly, where the official code lowers the label's
    logit by 1000. It is used beside :class:`~limbeck.outputs.CrossEntropy`.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both, with class numbers ``[B]``,
    ``[B, N]`` or ``[B, H, W]``.

    Args:
        gamma: $\gamma$; default 1.5: paper.
        temperature: $T$; default 1: paper, ImageNet.

    Raises:
        DataError: if the batch has no labels, or labels that are no class numbers.
        ShapeMismatch: if student, teacher and labels do not fit, or there is only one class.
        RecipeError: if the temperature is not positive or gamma is negative.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[0.0, 0.0, 0.0]])
        >>> # ln 3 / 3 for the label, 1.5 ln 2 for the two others.
        >>> NKD()(Context(torch.tensor([2]), student_output=logits, teacher_output=logits))
        tensor(1.4059)
    """

    requires: ClassVar[frozenset[str]] = frozenset({"targets", "teacher_output"})

    def __init__(self, *, gamma: float = 1.5, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0 or gamma < 0:
            raise RecipeError(
                f"NKD needs a temperature above 0 and a gamma of at least 0. Found temperature {temperature}, gamma "
                f"{gamma}. The paper takes 1 and 1.5."
            )
        self.gamma = gamma
        self.temperature = temperature

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = answer_rows(context.student_output), answer_rows(context.teacher_output)
        labels, counted = class_numbers(context.targets, student, self)
        column = labels.unsqueeze(1)
        sure = F.softmax(teacher, dim=1).gather(1, column).squeeze(1)
        target = sure * F.log_softmax(student, dim=1).gather(1, column).squeeze(1)
        theirs = among_others(teacher / self.temperature, labels).exp()
        others = (theirs * among_others(student / self.temperature, labels)).sum(1)
        return -masked_mean(target + self.gamma * self.temperature**2 * others, counted)

    def extra_repr(self) -> str:
        """Options."""
        return f"gamma={self.gamma}, temperature={self.temperature}"
