"""Soft labels."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from limbeck._math.answers import NEVER, answer_rows, classes_and_rest, divergence, kl
from limbeck._math.masking import masked_mean
from limbeck._math.pieces import PIECE, in_pieces
from limbeck.context import Context, TopAnswers
from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.outputs.family import OutputLoss, in_full_precision
from limbeck.outputs.labelled import labelled_rows


class SoftLabels(OutputLoss):
    r"""Answer as the teacher does, wrong answers included.

    From "Distilling the Knowledge in a Neural Network" (Hinton et al. 2015), https://arxiv.org/abs/1503.02531:

    $$ \frac{T^2}{M} \sum_m \mathrm{KL}\bigl(\operatorname{softmax}(z^t_m / T) \,\Vert\,
       \operatorname{softmax}(z^s_m / T)\bigr) $$

    over all $M$ answers; where a batch has a class number for each answer, over those whose label is not -100
    (padding, prompts); 0 if there is none. $T^2$ keeps the gradient's size when $T$ changes.

    Of a teacher of which a cache kept the most probable classes only, all others count as one class, as in
    :class:`~limbeck.outputs.TopKSoftLabels`: the number is then a lower bound.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]`` with at least two classes, the same of both.

    Args:
        temperature: $T$; default 4: official code of the benchmarks for small images; large models take 1 or 2.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes, or in one logit only: the softmax of one is
            always 1.
        RecipeError: if the temperature is not positive.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[1.0, 2.0, 3.0]])
        >>> bool(SoftLabels()(Context(student_output=logits + 7, teacher_output=logits)).abs() < 1e-5)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"teacher_output"})
    zero_when_equal: ClassVar[bool] = True
    full_precision: ClassVar[bool] = False

    def __init__(self, *, temperature: float = 4.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise RecipeError(f"SoftLabels needs a temperature above 0. Found {temperature}. Usual are 1 to 4.")
        self.temperature = temperature

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = answer_rows(context.student_output), context.teacher_output
        if student.shape[1] < 2:
            raise ShapeMismatch(
                f"SoftLabels needs a logit for each of at least two classes. Found answers of shape "
                f"{tuple(context.student_output.shape)}. Use BinarySoftLabels for a yes or no in one logit, LogitMSE "
                "for a regression."
            )
        if isinstance(teacher, TopAnswers):
            known = (teacher.at(self.temperature).flatten(0, -2), teacher.indices.flatten(0, -2))
            apart = in_pieces(self._apart_in_known, student, *known, entries=PIECE)
        else:
            apart = in_pieces(self._apart, student, answer_rows(teacher), entries=PIECE)
        return masked_mean(apart, labelled_rows(context, student))

    @property
    def top_temperature(self) -> float | None:
        """Its own."""
        return self.temperature

    def _apart(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M K"]) -> Float[Tensor, " M"]:
        return divergence(in_full_precision(student), in_full_precision(teacher), temperature=self.temperature)

    def _apart_in_known(
        self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M _"], classes: Int[Tensor, "M k"]
    ) -> Float[Tensor, " M"]:
        mine = classes_and_rest(in_full_precision(student) / self.temperature, classes)
        return kl(teacher.clamp_min(NEVER), mine) * self.temperature**2

    def extra_repr(self) -> str:
        """Options."""
        return f"temperature={self.temperature}"
