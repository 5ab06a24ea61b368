import pytest
import torch

from limbeck.context import Context
from limbeck.outputs import LogitMSE


def test_value_by_hand():
    context = Context(student_output=torch.tensor([[1.0, 2.0]]), teacher_output=torch.tensor([[0.0, 5.0]]))
    assert LogitMSE()(context).item() == pytest.approx(5.0)  # (1 + 9) / 2


def test_value_is_the_mean_over_labelled_answers_in_loops():
    student, teacher = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    labels = torch.tensor([[0, -100, 1], [2, 3, -100]])
    rows = [
        sum((student[b, n, k] - teacher[b, n, k]).item() ** 2 for k in range(4)) / 4
        for b in range(2) for n in range(3) if labels[b, n] >= 0
    ]  # fmt: skip
    context = Context(labels, student_output=student, teacher_output=teacher)
    assert LogitMSE()(context).item() == pytest.approx(sum(rows) / 4, rel=1e-5)


def test_a_regression_without_an_axis_for_its_number_is_read():
    student, teacher = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
    assert LogitMSE()(Context(student_output=student, teacher_output=teacher)).item() == pytest.approx(2.0)
