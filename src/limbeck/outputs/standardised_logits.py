"""Any loss of logits, on standardised logits."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.answers import class_axis
from limbeck.context import Context
from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.soft_labels import SoftLabels

_FEWEST_CLASSES = 5
_EPS = 1e-7


class StandardisedLogits(OutputLoss):
    r"""Answer as the teacher does, up to shift and scale: order and relative distance of the classes count.

    From "Logit Standardization in Knowledge Distillation" (Sun et al., CVPR 2024), https://arxiv.org/abs/2403.01427:

    $$ L(\hat z^s, \hat z^t), \qquad \hat z = \frac{z - \bar z}{\sigma(z)} $$

    with mean and (unbiased) deviation over the classes of each answer, and $L$ any loss that compares the student's
    logits with the teacher's: :class:`~limbeck.outputs.SoftLabels` in the paper's main experiments, in others
    :class:`~limbeck.outputs.DKD`. In a recipe: ``{kind: StandardisedLogits, loss: {kind: DKD, temperature: 2}}``.

    Differs from the paper: the deviation is $\sqrt{\sigma^2 + 10^{-14}}$ instead of $\sigma + 10^{-7}$, so that the
    gradient is finite where all logits are equal.

    Shapes: logits ``[B, K]``, ``[B, N, K]`` or ``[B, K, H, W]`` with at least 5 classes, the same of both.

    Args:
        loss: $L$; default ``SoftLabels(temperature=2)``: official code, which weighs it with 9.
        temperature: of the default loss, where no loss is given.

    Raises:
        ShapeMismatch: if student and teacher answer in different shapes, or in fewer than 5 classes: of two
            standardised logits nothing is left but their order.
        RecipeError: if the temperature is not positive or given beside a loss, or the loss reads no teacher.

    Example:
        >>> import torch
        >>> logits = torch.tensor([[1.0, 2.0, 3.0, 4.0, 9.0]])
        >>> context = Context(student_output=5 * logits + 7, teacher_output=logits)
        >>> bool(StandardisedLogits()(context).abs() < 1e-5)
        True
    """

    requires: ClassVar[frozenset[str]] = frozenset({"teacher_output"})
    zero_when_equal: ClassVar[bool] = True

    def __init__(self, *, loss: OutputLoss | None = None, temperature: float | None = None) -> None:
        super().__init__()
        if loss is None:
            loss = SoftLabels(temperature=2.0 if temperature is None else temperature)
        elif temperature is not None:
            raise RecipeError(
                f"StandardisedLogits needs either a loss or a temperature. Found {loss} and temperature {temperature}. "
                "Give the temperature to that loss."
            )
        if "teacher_output" not in loss.requires:
            raise RecipeError(
                f"StandardisedLogits needs a loss that compares with the teacher's logits. Found {loss}. Use it by "
                "itself, or give SoftLabels, DKD or DIST."
            )
        self.loss = loss
        # Facts of a class, which here are those of the loss inside.
        for fact in ("requires", "non_negative", "zero_when_equal", "numeric_labels", "same_classes", "minimum_batch"):
            setattr(self, fact, getattr(loss, fact))

    def judge(self, context: Context, /) -> Float[Tensor, ""]:
        """The loss of the standardised logits."""
        student, teacher = _standardised(context.student_output), _standardised(context.teacher_output)
        return self.loss.judge(context._replace(student_output=student, teacher_output=teacher))

    def extra_repr(self) -> str:
        """Options."""
        return f"loss={self.loss}"


def _standardised(logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    axis = class_axis(logits)
    if logits.ndim < 2 or logits.shape[axis] < _FEWEST_CLASSES:
        raise ShapeMismatch(
            f"StandardisedLogits needs at least {_FEWEST_CLASSES} classes. Found "
            f"{logits.shape[axis] if logits.ndim > 1 else 1}: standardised, they say little but their order. Use "
            "SoftLabels."
        )
    return (logits - logits.mean(axis, keepdim=True)) / (logits.var(axis, keepdim=True) + _EPS**2).sqrt()
