"""Cross-entropy with labels."""

from __future__ import annotations

from typing import Any, ClassVar

import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from limbeck._math.answers import answer_rows
from limbeck._math.masking import masked_mean
from limbeck._math.pieces import PIECE, in_pieces
from limbeck.context import Context
from limbeck.errors import DataError, RecipeError, ShapeMismatch
from limbeck.outputs.family import OutputLoss, in_full_precision
from limbeck.outputs.labelled import IGNORED, labelled_rows


class CrossEntropy(OutputLoss):
    r"""Answer as the labels say.

    The loss of classification; its smoothing is from "Rethinking the Inception Architecture for Computer Vision"
    (Szegedy et al., CVPR 2016), https://arxiv.org/abs/1512.00567, sec. 7:

    $$ -\frac{1}{M} \sum_m \sum_k q_{mk} \log \operatorname{softmax}(z_m)_k, \qquad
       q_{mk} = (1 - \epsilon) \, [k = y_m] + \epsilon / K $$

    over the $M$ answers whose label is not -100; 0 if there is none.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]`` with class numbers ``[B]``, ``[B, N]`` or
    ``[B, H, W]``; or with shares of the classes (mixed labels, several labels) of the logits' own shape.

    Args:
        label_smoothing: $\epsilon$; default 0: our choice.

    Raises:
        DataError: if the batch has no labels, or labels that are neither class numbers of the student nor shares.
        ShapeMismatch: if labels and logits do not fit, or there is one logit only.
        RecipeError: if the smoothing is no share.

    Example:
        >>> import torch
        >>> sure = torch.tensor([[20.0, 0.0], [0.0, 20.0]])
        >>> bool(CrossEntropy()(Context(torch.tensor([0, 1]), student_output=sure)) < 1e-6)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"targets"})
    full_precision: ClassVar[bool] = False

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if not 0 <= label_smoothing <= 1:
            raise RecipeError(f"CrossEntropy needs a smoothing from 0 to 1. Found {label_smoothing}.")
        self.label_smoothing = label_smoothing

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The formula."""
        logits = context.student_output
        rows = answer_rows(logits)
        targets = _readable(context.targets)
        if rows.shape[1] < 2:
            raise ShapeMismatch(
                f"CrossEntropy needs a logit for each of at least two classes. Found answers of shape "
                f"{tuple(logits.shape)}. Use BinaryCrossEntropy for a yes or no in one logit, SquaredError for a "
                "regression."
            )
        if targets.shape == logits.shape:
            shares = answer_rows(targets if targets.is_floating_point() else targets.to(rows.dtype))
            apart = in_pieces(self._apart, rows, shares, entries=PIECE)
            return masked_mean(apart, labelled_rows(context, rows))
        answers = logits.shape[:-1] if logits.ndim <= 3 else (len(logits), *logits.shape[2:])
        if targets.is_floating_point() or targets.shape != answers:
            raise ShapeMismatch(
                f"CrossEntropy needs class numbers of shape {tuple(answers)}, or shares of shape "
                f"{tuple(logits.shape)}. Found {targets.dtype} labels of shape {tuple(targets.shape)}. Give "
                "adapt=lambda raw: limbeck.Batch(inputs, targets), or your own task loss."
            )
        labels = targets.flatten().long()
        try:
            apart = in_pieces(self._apart, rows, labels.unsqueeze(1), entries=PIECE)
        except IndexError as error:
            known = labels[labels != IGNORED]
            raise DataError(
                f"CrossEntropy needs class numbers from 0 to {rows.shape[1] - 1}, or {IGNORED} where there is none. "
                f"Found {int(known.min())} to {int(known.max())} in this batch. Number the classes from 0, or give the "
                "student as many outputs."
            ) from error
        # What does not count, padding too, has the label -100 and gives 0 already.
        return apart.sum() / (labels != IGNORED).sum().clamp_min(1)

    def _apart(self, logits: Float[Tensor, "M K"], targets: Shaped[Tensor, "M _"]) -> Float[Tensor, " M"]:
        """The cross-entropy of each answer with shares of the classes, or with one class number (0 for -100)."""
        logits = in_full_precision(logits)
        targets = targets.to(logits.dtype) if targets.is_floating_point() else targets.squeeze(1)
        smoothing = self.label_smoothing
        return F.cross_entropy(logits, targets, ignore_index=IGNORED, label_smoothing=smoothing, reduction="none")

    def extra_repr(self) -> str:
        """Options."""
        return f"label_smoothing={self.label_smoothing}"


def _readable(targets: Any) -> Tensor:
    if not isinstance(targets, Tensor) or targets.is_complex():
        raise DataError(
            f"CrossEntropy needs a tensor of labels. Found {type(targets).__name__}. Give "
            "adapt=lambda raw: limbeck.Batch(inputs, targets), or your own task loss."
        )
    return targets
