"""Soft labels of the teacher's most probable classes."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from limbeck._math.answers import NEVER, answer_rows, classes_and_rest, kl
from limbeck._math.masking import masked_mean
from limbeck._math.pieces import PIECE, in_pieces
from limbeck._math.top_answers import top_answers
from limbeck.context import Context, TopAnswers
from limbeck.errors import RecipeError, ShapeMismatch
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
        ShapeMismatch: if student and teacher answer in different shapes, or a cache kept fewer classes.
        RecipeError: if k, temperature or piece is not positive.

    Example:
        >>> import torch
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
        return top_answers(logits, self.k, [self.temperature])

    @property
    def top_temperature(self) -> float | None:
        """Its own."""
        return self.temperature

    def check_top(self, student: Tensor, teacher: TopAnswers, /) -> None:
        """Refuse fewer classes than it is to compare, too."""
        super().check_top(student, teacher)
        if teacher.kept < min(self.k, teacher.classes):
            raise ShapeMismatch(
                f"TopKSoftLabels needs the teacher's {self.k} most probable classes. Found {teacher.kept} of "
                f"{teacher.classes}. Keep more (cache_top_k={self.k}), or take k={teacher.kept}."
            )

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        student, teacher = answer_rows(context.student_output), context.teacher_output
        if isinstance(teacher, TopAnswers):
            known = teacher.first(self.k)
            rows = (known.at(self.temperature).flatten(0, -2), known.indices.flatten(0, -2))
            apart = in_pieces(self._apart, student, *rows, entries=self.piece)
        else:
            apart = in_pieces(self._apart_from_all, student, answer_rows(teacher), entries=self.piece)
        return masked_mean(apart, labelled_rows(context, student)) * self.temperature**2

    def extra_repr(self) -> str:
        """Options."""
        return f"k={self.k}, temperature={self.temperature}, piece={self.piece}"

    def _apart_from_all(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M K"]) -> Float[Tensor, " M"]:
        known = self.keep(teacher)
        return self._apart(student, known.at(self.temperature), known.indices)

    def _apart(
        self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M _"], classes: Int[Tensor, "M k"]
    ) -> Float[Tensor, " M"]:
        return kl(teacher.clamp_min(NEVER), classes_and_rest(in_full_precision(student) / self.temperature, classes))
