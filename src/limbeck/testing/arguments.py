"""What a feature loss is called with in a check, and what it gives."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from limbeck.context import Context
from limbeck.features import Feature
from limbeck.losses.family import FeatureLoss, InformedLoss
from limbeck.testing.samples import feature_pair, gradient_of, with_gradient


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


def pair_for(
    loss: FeatureLoss, *, batch: int = 8, seed: int = 0, dtype: torch.dtype | None = None
) -> tuple[Feature, Feature]:
    """Two features that agree in what the loss needs."""
    return feature_pair(loss.needs, batch=batch, seed=seed, dtype=dtype, groups=loss.channel_groups)


def value_and_gradient(loss: FeatureLoss, student: Feature, teacher: Feature) -> tuple[Tensor, Tensor]:
    """The loss and its gradient at the student's feature."""
    student = with_gradient(student)
    value = loss(*arguments(loss, student, teacher))
    return value.detach(), gradient_of(value, student.x)
