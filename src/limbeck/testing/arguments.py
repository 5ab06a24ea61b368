"""What a feature loss is called with in a check."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from limbeck.context import Context
from limbeck.features import Feature
from limbeck.losses.family import FeatureLoss, InformedLoss


def arguments(
    loss: FeatureLoss, student: Feature, teacher: Feature, order: Int[Tensor, " B"] | None = None
) -> tuple[Any, ...]:
    """The two features and, for a loss that must know more of the batch, keys and labels.

    Samples are numbered from 0; ``order`` permutes the numbers as the features were.
    """
    if not isinstance(loss, InformedLoss):
        return student, teacher
    numbers = torch.arange(len(student.x)) if order is None else order
    keys = torch.stack([numbers, torch.zeros_like(numbers)], 1)
    return student, teacher, Context(targets=numbers % 3, keys=keys)
