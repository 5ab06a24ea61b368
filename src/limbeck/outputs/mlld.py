"""Soft labels, and what samples and classes have in common, at several temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import answer_rows, divergence
from limbeck._math.masking import masked_mean
from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.labelled import labelled_rows


class MLLD(OutputLoss):
    r"""Answer as the teacher does, mistake the same samples for each other, and the same classes.

    From "Multi-Level Logit Distillation" (Jin et al., CVPR 2023),
    https://openaccess.thecvf.com/content/CVPR2023/html/Jin_Multi-Level_Logit_Distillation_CVPR_2023_paper.html:

    $$ \sum_T \frac{T^2}{M} \sum_m \mathrm{KL}(p^t_m \,\Vert\, p^s_m) +
       \frac{1}{M} \lVert P_t P_t^\top - P_s P_s^\top \rVert_F^2 +
       \frac{1}{K} \lVert P_t^\top P_t - P_s^\top P_s \rVert_F^2 $$

    with $p = \operatorname{softmax}(z / T)$ as the rows of $P$, over the $M$ answers that
    :class:`~limbeck.outputs.SoftLabels` counts. It takes $M^2 + K^2$ numbers of memory for each temperature.

    Differs from the paper: one view of each sample; the paper adds the same loss of a strongly augmented view. No
    sample or class is left out for the teacher's doubt: in the official code those masks scale the whole loss only.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both.

    Args:
        temperatures: the $T$; default 2, 3, 4, 5, 6: official code.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes.
        RecipeError: if there is no temperature or one is not positive.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[1.0, 2.0, 4.0], [3.0, 0.0, 1.0]])
        >>> bool(MLLD()(Context(student_output=logits + 7, teacher_output=logits)).abs() < 1e-5)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"teacher_output"})
    zero_when_equal: ClassVar[bool] = True

    def __init__(self, *, temperatures: Sequence[float] = (2.0, 3.0, 4.0, 5.0, 6.0)) -> None:
        super().__init__()
        if not temperatures or min(temperatures) <= 0:
            raise RecipeError(
                f"MLLD needs temperatures above 0. Found {temperatures}. The paper takes 2, 3, 4, 5 and 6."
            )
        self.temperatures = tuple(temperatures)

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = answer_rows(context.student_output), answer_rows(context.teacher_output)
        counted = labelled_rows(context, student)
        weight = torch.ones_like(student[:, :1]) if counted is None else counted.unsqueeze(1).to(student.dtype)
        total = student.new_zeros(())
        for temperature in self.temperatures:
            answers = masked_mean(divergence(student, teacher, temperature=temperature), counted)
            mine, theirs = (F.softmax(each / temperature, dim=1) * weight for each in (student, teacher))
            samples = (theirs @ theirs.T - mine @ mine.T).square().sum() / weight.sum().clamp_min(1)
            classes = (theirs.T @ theirs - mine.T @ mine).square().sum() / student.shape[1]
            total = total + answers + samples + classes
        return total

    def extra_repr(self) -> str:
        """Options."""
        return f"temperatures={self.temperatures}"
