"""What a budget of trainings pays for."""

import pytest

from limbeck.search.spending import Spending


def spending(student: int, teacher: int) -> Spending:
    return Spending.of(3.0, student_macs=student, teacher_macs=teacher, cached=False)


@pytest.mark.parametrize(("student", "teacher", "expected"), [(100, 300, 1.0), (100, 1, 0.25), (1, 10**9, 2.0)])
def test_the_teachers_share_is_counted_within_bounds(student, teacher, expected):
    assert spending(student, teacher).teacher == expected


def test_what_cannot_be_counted_is_taken_for_half_a_step():
    assert spending(10, 0).teacher == spending(0, 10).teacher == 0.5


@pytest.mark.parametrize("teacher", [0.25, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("cached", [False, True])
def test_the_students_stay_within_the_budget_and_one_more_would_not(teacher, cached):
    limits = Spending(3.0, teacher, reads_teacher=not cached)
    spent = limits.students + (0.0 if cached else teacher)
    assert spent <= 3.0 * (1 + teacher) + 1e-9 < spent + 1


def test_a_larger_budget_trains_more_students_and_none_less_than_one():
    counts = [Spending(budget, 0.5).students for budget in (0.1, 1.0, 3.0, 9.0)]
    assert counts == [1, 1, 4, 13]
