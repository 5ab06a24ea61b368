"""What a loss may ask for beside the two things that it compares."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor


class Context(NamedTuple):
    """What is known of a batch when its losses are computed; every part may be absent."""

    targets: Any = None
    keys: Tensor | None = None
    student_output: Any = None
    teacher_output: Any = None
