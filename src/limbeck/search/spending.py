"""How a budget of trainings is spent: on full trainings side by side, and on short runs that find their rates."""

from __future__ import annotations

from dataclasses import dataclass

# Forward and backward of the student, in its forwards.
_STEP = 3.0
# The teacher's forward over the student's step: never taken for less or more, as what torch counts is not time. Where
# nothing could be counted it is the middle, that of a teacher half as dear as the student's step.
_LEAST, _UNKNOWN, _MOST = 0.25, 0.5, 2.0
LONGEST, SHORTEST = 0.25, 0.05


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

    def share(self, *, trainings: int, runs: int, groups: int) -> float:
        """Length of a short run, in trainings, so that everything together stays within the budget.

        Args:
            trainings: whole ones, side by side.
            runs: short ones.
            groups: in how many groups these are side by side, each with one forward of the teacher.

        Returns:
            At most a quarter, which does not need to be longer; at least a twentieth, which must not be shorter to say
            anything, also where that is over the budget.

        Example:
            >>> round(Spending(3.0, teacher=0.5).share(trainings=3, runs=14, groups=3), 3)
            0.065
            >>> Spending(3.0, teacher=2.0).share(trainings=1, runs=8, groups=1)
            0.25
        """
        teacher = self.teacher if self.reads_teacher else 0.0
        left = self.budget * (1 + self.teacher) - trainings - teacher
        return min(LONGEST, max(SHORTEST, left / (runs + groups * teacher)))
