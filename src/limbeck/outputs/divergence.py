"""The contract of output losses that compare two distributions, answer by answer, without copies of all logits."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from limbeck._math.answers import NEVER, answer_rows, classes_and_rest
from limbeck._math.masking import masked_mean
from limbeck._math.pieces import PIECE, in_pieces
from limbeck.context import Context, TopAnswers
from limbeck.errors import RecipeError
from limbeck.outputs.family import OutputLoss, in_full_precision
from limbeck.outputs.labelled import labelled_rows


class Divergence(OutputLoss):
    """Mean over the answers of how far the student's distribution is from the teacher's.

    Language models answer in ``[B, N, V]`` with large vocabularies: every copy in float32 may be as large as all
    weights. Answers are therefore compared a piece at a time, and each piece is raised to full precision by itself.
    A subclass compares log-probabilities in :meth:`apart`. Where a cache kept the teacher's most probable classes only,
    all others count as one class, of both.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"teacher_output"})
    zero_when_equal: ClassVar[bool] = True
    full_precision: ClassVar[bool] = False

    def __init__(self, *, piece: int = PIECE) -> None:
        super().__init__()
        if piece < 1:
            raise RecipeError(f"{type(self).__name__} needs pieces of at least 1 number. Found {piece}.")
        self.piece = piece

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula, over the answers that have a label where there are labels."""
        student, teacher = answer_rows(context.student_output), context.teacher_output
        if isinstance(teacher, TopAnswers):
            known = (teacher.at(1.0).flatten(0, -2), teacher.indices.flatten(0, -2))
            apart = in_pieces(self._apart_in_known, student, *known, entries=self.piece)
        else:
            apart = in_pieces(self._apart, student, answer_rows(teacher), entries=self.piece)
        return masked_mean(apart, labelled_rows(context, student))

    @property
    def top_temperature(self) -> float | None:
        """1, if the classes of both are the same one by one: some may then be taken together."""
        return 1.0 if self.same_classes else None

    @abstractmethod
    def apart(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M Kt"], /) -> Float[Tensor, " M"]:
        """The divergence of log-probabilities, row by row."""

    def extra_repr(self) -> str:
        """Options."""
        return f"piece={self.piece}"

    def _apart(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M Kt"]) -> Float[Tensor, " M"]:
        # The floor: a class that neither allows (a logit of -inf) would otherwise give 0 * inf.
        mine, theirs = (F.log_softmax(in_full_precision(each), dim=-1).clamp_min(NEVER) for each in (student, teacher))
        return self.apart(mine, theirs)

    def _apart_in_known(
        self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M _"], classes: Int[Tensor, "M k"]
    ) -> Float[Tensor, " M"]:
        return self.apart(classes_and_rest(in_full_precision(student), classes), teacher.clamp_min(NEVER))
