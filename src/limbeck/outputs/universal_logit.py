"""Sorted probabilities."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from limbeck.outputs.divergence import Divergence


class UniversalLogit(Divergence):
    r"""Be as sure as the teacher is, of whatever: for models whose vocabularies differ.

    From "Towards Cross-Tokenizer Distillation: the Universal Logit Distillation Loss for LLMs" (Boizard et al., TMLR
    2025), https://arxiv.org/abs/2402.12030:

    $$ \frac{1}{M} \sum_m \sum_i \lvert p_{m(i)} - q_{m(i)} \rvert $$

    of the teacher's $p$ and the student's $q$, each sorted from the most probable class down, the shorter filled up
    with zeros; over the answers that :class:`~limbeck.outputs.ForwardKL` counts. It is the Wasserstein distance if
    every class is as far from every other. The paper weighs it with 1.5 beside the cross-entropy.

    Differs from the paper: both models answer in the same number of places; where tokenisers differ so that they do
    not, the paper cuts the longer answer off.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]``, the same of both but for the number of classes.

    Args:
        piece: numbers that are compared at once; default $2^{24}$: our choice.

    Raises:
        ShapeMismatch: if student and teacher do not answer equally often.
        RecipeError: if pieces are empty.

    Example:
        >>> import torch
        >>> from limbeck.context import Context
        >>> student, teacher = torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[0.5, 0.0, 0.5]]).log()
        >>> UniversalLogit()(Context(student_output=student, teacher_output=teacher))
        tensor(0.5000)
    """

    same_classes: ClassVar[bool] = False

    def apart(self, student: Float[Tensor, "M K"], teacher: Float[Tensor, "M Kt"], /) -> Float[Tensor, " M"]:
        """The distance, row by row."""
        mine, theirs = (each.exp().sort(dim=-1, descending=True).values for each in (student, teacher))
        classes = max(mine.shape[1], theirs.shape[1])
        mine, theirs = (F.pad(each, (0, classes - each.shape[1])) for each in (mine, theirs))
        return (theirs - mine).abs().sum(-1)
