"""With which weights a student starts: its own, or layers of its teacher."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from limbeck.choice import Choice
from limbeck.initialising import copy_layers, state_tensors
from limbeck.recipe.recipe import Start


def start_student(student: nn.Module, teacher: nn.Module, start: Start) -> tuple[Choice, ...]:
    """Give the student the layers that it is to start with; returns what is to be said of it.

    Args:
        student: its weights are overwritten, unless it starts as it was given.
        teacher: is read only.
        start: ``as-given``, or which of the teacher's blocks are taken; see :func:`limbeck.copy_layers`.

    Raises:
        ModelError: if no layer of the teacher fits.
    """
    return () if start == "as-given" else (copy_layers(student, teacher, start).choice,)


@contextmanager
def started(student: nn.Module, teacher: nn.Module, start: Start) -> Iterator[tuple[Choice, ...]]:
    """As :func:`start_student` while entered; afterwards the student has its own weights again."""
    own = {} if start == "as-given" else {name: each.clone() for name, each in state_tensors(student).items()}
    try:
        yield start_student(student, teacher, start)
    finally:
        with torch.no_grad():
            weights = state_tensors(student)
            for name, each in own.items():
                weights[name].copy_(each)
