"""What a budget of trainings pays for."""

import pytest

from limbeck.search.spending import LONGEST, SHORTEST, Spending


def spending(student: int, teacher: int) -> Spending:
    return Spending.of(3.0, student_macs=student, teacher_macs=teacher, cached=False)


@pytest.mark.parametrize(("student", "teacher", "expected"), [(100, 300, 1.0), (100, 1, 0.25), (1, 10**9, 2.0)])
def test_the_teachers_share_is_counted_within_bounds(student, teacher, expected):
    assert spending(student, teacher).teacher == expected


def test_what_cannot_be_counted_is_taken_for_half_a_step():
    assert spending(10, 0).teacher == spending(0, 10).teacher == 0.5


@pytest.mark.parametrize("teacher", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("trainings", [1, 2, 3])
def test_trainings_and_short_runs_together_stay_within_the_budget(teacher, cached, trainings):
    limits, runs, groups = Spending(3.0, teacher, reads_teacher=not cached), 8 + 3 * (trainings - 1), trainings
    share = limits.share(trainings=trainings, runs=runs, groups=groups)
    runs_teacher = 0.0 if cached else teacher
    spent = trainings + runs_teacher + share * (runs + groups * runs_teacher)
    assert SHORTEST <= share <= LONGEST
    # A run shorter than a twentieth says nothing, so that much is spent in any case.
    assert spent <= 3.0 * (1 + teacher) + 1e-9 or share == SHORTEST


def test_a_larger_budget_buys_longer_runs():
    shares = [Spending(budget, 0.5).share(trainings=3, runs=14, groups=3) for budget in (1.0, 3.0, 4.0, 9.0)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (SHORTEST, LONGEST)
