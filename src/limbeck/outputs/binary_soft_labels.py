"""Soft labels of logits that each stand for a yes or no."""

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
from limbeck.outputs.labelled import labelled_rows


class BinarySoftLabels(OutputLoss):
    r"""Say yes as surely as the teacher does, each logit for itself: one logit for two classes, or several labels.

    The counterpart of :class:`~limbeck.outputs.SoftLabels` where the answer is no choice of one class among many: as in
    "Multi-Label Knowledge Distillation" (Yang et al., ICCV 2023), https://arxiv.org/abs/2308.06453, every logit
    is a binary problem of its own:

    $$ \frac{T^2}{M} \sum_m \mathrm{KL}\bigl(\operatorname{Ber}(\sigma(z^t_m / T)) \,\Vert\,
       \operatorname{Ber}(\sigma(z^s_m / T))\bigr) $$

    over all $M$ logits; where a batch has a class number for each answer, over those whose label is not -100.

    Differs from the paper: the mean over the labels instead of their sum, so that one weight suits any number of them;
    and the temperature of Hinton et al. 2015 (https://arxiv.org/abs/1503.02531).

    Shapes: logits ``[B]``, ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both.

    Args:
        temperature: $T$; default 4: as :class:`~limbeck.outputs.SoftLabels`.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes.
        RecipeError: if the temperature is not positive.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[1.0], [-2.0]])
        >>> bool(BinarySoftLabels()(Context(student_output=logits, teacher_output=logits)).abs() < 1e-6)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"teacher_output"})
    zero_when_equal: ClassVar[bool] = True

    def __init__(self, *, temperature: float = 4.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise RecipeError(f"BinarySoftLabels needs a temperature above 0. Found {temperature}. Usual are 1 to 4.")
        self.temperature = temperature

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student = answer_rows(context.student_output) / self.temperature
        teacher = answer_rows(context.teacher_output) / self.temperature
        yes = teacher.sigmoid()
        # KL of two Bernoullis: p (log p - log q) + (1 - p) (log (1 - p) - log (1 - q)), in logs throughout.
        apart = yes * (F.logsigmoid(teacher) - F.logsigmoid(student))
        apart = apart + (1 - yes) * (F.logsigmoid(-teacher) - F.logsigmoid(-student))
        return masked_mean(apart.mean(1) * self.temperature**2, labelled_rows(context, student))

    def extra_repr(self) -> str:
        """Options."""
        return f"temperature={self.temperature}"
