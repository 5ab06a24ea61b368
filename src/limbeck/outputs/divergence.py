"""The contract of output losses that compare two distributions, answer by answer, without copies of all logits."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import NEVER, answer_rows
from limbeck._math.masking import masked_mean
from limbeck._math.pieces import in_pieces
from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs.family import OutputLoss, in_full_precision
from limbeck.outputs.labelled import labelled_rows

PIECE = 2**24
"""Numbers of a piece; 64 MB in float32 for each intermediate result."""


class Divergence(OutputLoss):
    """Mean over the answers of how far the student's distribution is from the teacher's.

    Language models answer in ``[B, N, V]`` with large vocabularies: every copy in float32 may be as large as all
    weights. Answers are therefore compared a piece at a time, and each piece is raised to full precision by itself.
    A subclass compares log-probabilities in :meth:`apart`.
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
        student, teacher = answer_rows(context.student_output), answer_rows(context.teacher_output)
        apart = in_pieces(self._apart, student, teacher, entries=self.piece)
        return masked_mean(apart, labelled_rows(context, student))

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
