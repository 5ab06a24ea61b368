"""Soft labels of the teacher's most probable classes."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from limbeck._math.answers import NEVER, answer_rows, class_axis, classes_and_rest, kl
from limbeck._math.masking import masked_mean
from limbeck._math.pieces import in_pieces
from limbeck.context import Context, TopAnswers
from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.outputs.divergence import PIECE
from limbeck.outputs.family import OutputLoss, in_full_precision
from limbeck.outputs.labelled import labelled_rows


class TopKSoftLabels(OutputLoss):
    r"""Answer as the teacher does for its most probable classes; all others count together, as one class.

    Of answers in large vocabularies nearly everything lies in few classes, and a cache can keep no more. From "A Fast
    Knowledge Distillation Framework for Visual Recognition" (Shen & Xing, ECCV 2022), https://arxiv.org/abs/2112.01528:

    $$ \frac{T^2}{M} \sum_m \mathrm{KL}(\tilde p_m \,\Vert\, \tilde q_m), \qquad
       \tilde p = \bigl(p_{(1)}, \ldots, p_{(k)}, 1 - \textstyle\sum_i p_{(i)}\bigr) $$

    with the teacher's $p$ and the student's $q$ (softmax of $z / T$) in the order of the teacher's $k$ most probable
    classes, over the answers that :class:`~limbeck.outputs.SoftLabels` counts.

    Differs from the paper: the rest is one class, whose probability the student may spread as it likes; the paper
    spreads the teacher's evenly over all other classes. Where $k$ is the number of classes it is ``SoftLabels``.

    Shapes: student's logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``; the teacher's the same, or
    :class:`~limbeck.context.TopAnswers` ``[B, k]``, ``[B, N, k]`` or ``[B, H, W, k]``, as :meth:`keep` makes them.

    Args:
        k: $k$; default 64: our choice (64 to 128 are usual for language models).
        temperature: $T$; default 1: usual for language models.
        piece: numbers that are compared at once; default $2^{24}$: our choice.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes.
        RecipeError: if k, temperature or piece is not positive.

    Example:
        >>> loss = TopKSoftLabels(k=1)
        >>> teacher = loss.keep(torch.tensor([[0.5, 0.25, 0.25]]).log())
        >>> # The student shares the rest out in another way, which does not matter.
        >>> student = torch.tensor([[0.5, 0.4, 0.1]]).log()
        >>> bool(loss(Context(student_output=student, teacher_output=teacher)) < 1e-6)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"teacher_output"})
    zero_when_equal: ClassVar[bool] = True
    full_precision: ClassVar[bool] = False

    def __init__(self, *, k: int = 64, temperature: float = 1.0, piece: int = PIECE) -> None:
        super().__init__()
        if k < 1 or temperature <= 0 or piece < 1:
            raise RecipeError(
                f"TopKSoftLabels needs k, temperature and piece above 0. Found {k}, {temperature} and {piece}. Usual "
                "are a k of 64 and a temperature of 1."
            )
        self.k = k
        self.temperature = temperature
        self.piece = piece

    def keep(self, logits: Float[Tensor, "*shape"], /) -> TopAnswers:
        """What this loss needs of a teacher's logits; for a cache."""
        logs = F.log_softmax(in_full_precision(logits).movedim(class_axis(logits), -1) / self.temperature, dim=-1)
        return TopAnswers(*logs.topk(min(self.k, logs.shape[-1]), dim=-1))

    def check_teacher(self, student: Tensor, teacher: Any, /) -> None:
        """Refuse a teacher that does not answer once for each answer of the student's."""
        if not isinstance(teacher, TopAnswers):
            super().check_teacher(student, teacher)
            return
        answers = student.select(class_axis(student), 0).shape
        found = {each.shape[:-1] for each in teacher}
        if found != {answers}:
            raise ShapeMismatch(
                f"TopKSoftLabels needs the teacher's most probable classes for each of the answers {tuple(answers)}. "
                f"Found {' and '.join(str(tuple(each.shape)) for each in teacher)}. Keep them with the same inputs."
            )

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = answer_rows(context.student_output), context.teacher_output
        if isinstance(teacher, TopAnswers):
            apart = in_pieces(self._apart, student, *(each.flatten(0, -2) for each in teacher), entries=self.piece)
        else:
            apart = in_pieces(self._apart_from_all, student, answer_rows(teacher), entries=self.piece)
        return masked_mean(apart, labelled_rows(context, student)) * self.temperature**2

    def extra_repr(self) -> str:
        """Options."""
        return f"k={self.k}, temperature={self.temperature}, piece={self.piece}"

    def _apart_from_all(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M K"]) -> Float[Tensor, " M"]:
        return self._apart(student, *self.keep(teacher))

    def _apart(
        self, student: Float[Tensor, "M K"], kept: Float[Tensor, "M k"], classes: Int[Tensor, "M k"]
    ) -> Float[Tensor, " M"]:
        mine = classes_and_rest(in_full_precision(student) / self.temperature, classes)
        theirs = in_full_precision(kept)
        if classes.shape[1] == student.shape[1]:
            return kl(theirs.clamp_min(NEVER), mine[:, :-1])
        rest = torch.log(-torch.expm1(theirs.logsumexp(-1, keepdim=True).clamp_max(0.0)))
        return kl(torch.cat([theirs, rest], dim=-1).clamp_min(NEVER), mine)
