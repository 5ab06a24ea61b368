"""What a loss may ask for beside the two things that it compares."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor


class Context(NamedTuple):
    """What is known of a batch when its output losses are computed; every part may be absent.

    Attributes:
        targets: labels.
        keys: number of each sample and of its view.
        student_output: the student's logits.
        teacher_output: the teacher's logits.
        student_loss: the loss that the student's own forward returned.
    """

    targets: Any = None
    keys: Tensor | None = None
    student_output: Any = None
    teacher_output: Any = None
    student_loss: Tensor | None = None
