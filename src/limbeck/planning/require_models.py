"""Refuses what is no pair of models."""

from __future__ import annotations

from typing import Any

from torch import nn

from limbeck.batch import unwrap
from limbeck.errors import ModelError
from limbeck.sharding import is_sharded
from limbeck.teachers.committee import Committee


def require_models(teacher: Any, student: Any) -> None:
    """Refuse what is no model, or no pair.

    Raises:
        ModelError: if one of them is no module, both are the same, or the student is sharded or has nothing to train.
    """
    for side, model in (("teacher", teacher), ("student", student)):
        if not isinstance(model, nn.Module):
            found = getattr(model, "__name__", type(model).__name__)
            built = "Call it first, to build the model. " if callable(model) else ""
            if side == "teacher" and isinstance(model, list | tuple | dict):
                built = "Join several teachers into limbeck.Committee(teachers). "
            raise ModelError(
                f"The {side} must be a torch.nn.Module. Found {found}. {built}Give teacher and student, then the data."
            )
    if unwrap(teacher) is unwrap(student):
        raise ModelError(
            "Teacher and student must be two models. Found the same module twice. To distil a model into itself, give "
            "a frozen copy as teacher: copy.deepcopy(model)."
        )
    if isinstance(teacher, Committee) and any(unwrap(each) is unwrap(student) for each in teacher.members.values()):
        raise ModelError(
            "A student cannot be a member of the committee that teaches it. Found the same module. Give a frozen copy "
            "as member: copy.deepcopy(model)."
        )
    if not any(each.requires_grad for each in student.parameters()):
        raise ModelError(
            "The student must have weights to train. Found none that requires a gradient. Set requires_grad_(True) on "
            "those to train; student.requires_grad_(True) does so for all."
        )
    if is_sharded(student):
        raise ModelError(
            "Planning needs a student in one piece. Found one that fully_shard has split. Plan and build first, then "
            "call fully_shard and train in a loop of your own: see docs/how-to/cluster.md."
        )
