"""Checks of the precision in which a feature loss computes."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.losses.family import FeatureLoss
from limbeck.testing.arguments import arguments, pair_for, value_and_gradient
from limbeck.testing.running import require
from limbeck.testing.samples import gradient_of, with_gradient


def check_half_precision(loss: FeatureLoss, /) -> None:
    """Features in bfloat16 and float16 give a finite value close to that in float32, and a finite gradient."""
    student, teacher = pair_for(loss, dtype=torch.float32)
    for dtype in (torch.bfloat16, torch.float16):
        pair = tuple(each._replace(x=each.x.to(dtype)) for each in (student, teacher))
        mine, theirs = (each._replace(x=each.x.float()) for each in pair)
        value_in_full = loss(*arguments(loss, mine, theirs))
        value, gradient = value_and_gradient(loss, *pair)
        require(torch.isfinite(value) and torch.isfinite(gradient).all(), f"must be finite in {dtype}. Found {value}")
        require(
            torch.allclose(value.float(), value_in_full, rtol=1e-2, atol=1e-3),
            f"must be computed in full precision for features in {dtype}. Found {value.item()} instead of "
            f"{value_in_full.item()}",
        )


def check_autocast(loss: FeatureLoss, /) -> None:
    """Under autocast it gives what it gives without: it computes in the features' own precision."""
    student, teacher = pair_for(loss)
    expected = value_and_gradient(loss, student, teacher)
    student = with_gradient(student)
    with torch.autocast(student.x.device.type, dtype=torch.bfloat16):
        value = loss(*arguments(loss, student, teacher))
    found = value.detach(), gradient_of(value, student.x)
    for name, one, other in zip(("value", "gradient"), found, expected, strict=True):
        require(
            one.dtype == other.dtype and torch.allclose(one, other, rtol=1e-4, atol=1e-6),
            f"must be computed in full precision under autocast. Found another {name}",
        )


def check_gradient_is_right(loss: FeatureLoss, /) -> None:
    """The gradient is that of the value, by finite differences in float64."""
    student, teacher = pair_for(loss, batch=max(4, loss.minimum_batch), dtype=torch.float64)

    def value(x: Tensor) -> Tensor:
        return loss(*arguments(loss, student._replace(x=x), teacher))

    right = torch.autograd.gradcheck(value, student.x.clone().requires_grad_(), raise_exception=False, fast_mode=True)
    require(right, "must have the gradient of its value. Found another one: is a part of it a constant (.item())?")
