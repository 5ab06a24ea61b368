"""Refuses what is no pair of models."""

from __future__ import annotations

from typing import Any

from torch import nn

from limbeck.batch import unwrap
from limbeck.errors import ModelError


def require_models(teacher: Any, student: Any) -> None:
    """Refuse what is no model, or no pair.

    Raises:
        ModelError: if one of them is no module, both are the same, or the student has no weights to train.
    """
    for side, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, nn.Module):
            found = getattr(model, "__name__", type(model).__name__)
            built = "Call it first, to build the model. " if callable(model) else ""
            raise ModelError(
                f"The {side} must be a torch.nn.Module. Found {found}. {built}Give teacher and student, then the data."
            )
    if unwrap(teacher) is unwrap(student):
        raise ModelError(
            "Teacher and student must be two models. Found the same module twice. To distil a model into itself, give "
            "a frozen copy as teacher: copy.deepcopy(model)."
        )
    if not any(each.requires_grad for each in student.parameters()):
        raise ModelError(
            "The student must have weights to train. Found none that requires a gradient. Set requires_grad_(True) on "
            "those to train; student.requires_grad_(True) does so for all."
        )
