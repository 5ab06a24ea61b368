"""What a budget of trainings pays for."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Forward and backward of the student, in its forwards.
_STEP = 3.0
# The teacher's forward over the student's step: never taken for less or more, as what torch counts is not time. Where
# nothing could be counted it is the middle, that of a teacher half as dear as the student's step.
_LEAST, _UNKNOWN, _MOST = 0.25, 0.5, 2.0


@dataclass(frozen=True)
class Spending:
    """What may be spent.

    It is counted, not timed, so that the same call always does the same.

    Attributes:
        budget: in plain trainings: one student, with the teacher running in every step.
        teacher: the teacher's forward over the student's step.
        reads_teacher: whether the teacher runs while candidates train; it does not once it is cached.
    """

    budget: float
    teacher: float
    reads_teacher: bool = True

    @classmethod
    def of(cls, budget: float, *, student_macs: int, teacher_macs: int, cached: bool) -> Spending:
        """From the multiply-adds of both models, 0 where they could not be counted."""
        if not student_macs or not teacher_macs:
            return cls(budget, _UNKNOWN, not cached)
        found = teacher_macs / (_STEP * student_macs)
        return cls(budget, min(_MOST, max(_LEAST, found)), not cached)

    @property
    def students(self) -> int:
        """How many students it trains side by side, with one forward of the teacher a batch for all of them.

        Example:
            >>> [Spending(3.0, teacher).students for teacher in (0.25, 0.5, 1.0, 2.0)]
            [3, 4, 5, 7]
            >>> Spending(3.0, teacher=1.0, reads_teacher=False).students
            6
        """
        return max(1, math.floor(self.budget * (1 + self.teacher) - self.teacher * self.reads_teacher))
