"""Labels as the losses read them."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from limbeck.context import Context
from limbeck.errors import DataError, ShapeMismatch

IGNORED = -100


def labelled_rows(context: Context, rows: Float[Tensor, "M K"]) -> Bool[Tensor, " M"] | None:
    """``False`` for each row of ``rows`` that is padding, or whose label is -100, as that of a prompt.

    ``None`` where all count: without padding, and without labels that are class numbers, one for each row.
    """
    valid = None if context.mask is None else context.mask.flatten()
    targets = context.targets
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.numel() != len(rows):
        return valid
    labelled = (targets != IGNORED).flatten()
    return labelled if valid is None else labelled & valid


def labels_at_answers(targets: Any, mask: Bool[Tensor, "B N"] | None, *, next_token: bool = False) -> Any:
    """Class numbers ``[B, N]`` with -100 where a position is padding, each at the position of the answer it judges.

    Labels that are no class numbers, one for each position, stay as they are.

    Args:
        targets: as the batch has them.
        mask: ``False`` at positions that are padding.
        next_token: whether the answer at a position is to be the label of the position behind it, as in causal language
            models: the labels move one to the front, and the last answer has none.

    Example:
        >>> import torch
        >>> labels_at_answers(torch.tensor([[5, 6, 7]]), torch.tensor([[True, True, False]]), next_token=True)
        tensor([[   6, -100, -100]])
    """
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.ndim != 2:
        return targets
    if mask is not None and targets.shape == mask.shape:
        targets = targets.long().masked_fill(~mask, IGNORED)
    if not next_token:
        return targets
    return torch.cat([targets[:, 1:].long(), torch.full_like(targets[:, :1], IGNORED, dtype=torch.long)], dim=1)


def not_padding(context: Context, answers: Float[Tensor, "*shape"]) -> Bool[Tensor, "*shape"] | None:
    """``False`` for each number of the answers that stands at padding; ``None`` where there is none."""
    mask = context.mask
    return None if mask is None else mask.reshape(*mask.shape, *(1,) * (answers.ndim - mask.ndim)).expand_as(answers)


def class_numbers(
    targets: Any, rows: Float[Tensor, "M K"], wanted_by: nn.Module
) -> tuple[Int[Tensor, " M"], Bool[Tensor, " M"]]:
    """The class number of each row of ``rows`` (0 where its label is -100), and which rows have one.

    Raises:
        DataError: if the labels are no tensor of class numbers.
        ShapeMismatch: if there is not one for each row, or there are no classes to choose among.
    """
    name = type(wanted_by).__name__
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.is_complex():
        found = targets.dtype if isinstance(targets, Tensor) else type(targets).__name__
        raise DataError(
            f"{name} needs class numbers as labels. Found {found}. Give adapt=lambda raw: limbeck.Batch(inputs, "
            "targets), or use an output loss that needs no labels (SoftLabels, DIST)."
        )
    if targets.numel() != len(rows) or rows.shape[1] < 2:
        raise ShapeMismatch(
            f"{name} needs one class number for each answer, and at least 2 classes. Found labels of shape "
            f"{tuple(targets.shape)} for {len(rows)} answers in {rows.shape[1]} classes. Use an output loss that needs "
            "no labels (SoftLabels, BinarySoftLabels)."
        )
    labels = targets.flatten().long()
    counted = labels != IGNORED
    return labels.where(counted, 0), counted


def numbers_like(answers: Float[Tensor, "*shape"], targets: Any, wanted_by: nn.Module) -> Float[Tensor, "*shape"]:
    """The labels as numbers in the answers' shape and type; axes of length one do not matter, ``[B]`` fits ``[B, 1]``.

    Raises:
        DataError: if the labels are no tensor of real numbers.
        ShapeMismatch: if there is not one for each answer.
    """
    name = type(wanted_by).__name__
    if not isinstance(targets, Tensor) or targets.is_complex():
        raise DataError(
            f"{name} needs a tensor of labels. Found {type(targets).__name__}. Give "
            "adapt=lambda raw: limbeck.Batch(inputs, targets), or your own task loss."
        )
    if answers.squeeze().shape != targets.squeeze().shape:
        raise ShapeMismatch(
            f"{name} needs one label for each of the student's answers {tuple(answers.shape)}. Found labels of shape "
            f"{tuple(targets.shape)}. Use CrossEntropy for class numbers, or your own task loss."
        )
    return targets.reshape(answers.shape).to(answers.dtype)
