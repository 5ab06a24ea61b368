import pytest
import torch

from limbeck.context import Context
from limbeck.errors import ShapeMismatch
from limbeck.outputs import SquaredError


def test_value_by_hand():
    context = Context(torch.tensor([1.0, 5.0]), student_output=torch.tensor([[1.0], [2.0]]))
    assert SquaredError()(context).item() == pytest.approx(4.5)  # (0 + 9) / 2


def test_value_is_the_mean_over_all_numbers_in_loops():
    answers, labels = torch.randn(3, 2), torch.randn(3, 2)
    expected = sum((answers[i, j].item() - labels[i, j].item()) ** 2 for i in range(3) for j in range(2)) / 6
    assert SquaredError()(Context(labels, student_output=answers)).item() == pytest.approx(expected, rel=1e-5)


def test_labels_are_never_spread_over_the_answers():
    with pytest.raises(ShapeMismatch, match=r"\(4, 4\).*\(4,\)"):
        SquaredError()(Context(torch.zeros(4), student_output=torch.zeros(4, 4)))


def test_whole_numbers_are_labels_too():
    context = Context(torch.tensor([3, 1]), student_output=torch.tensor([[1.0], [1.0]]))
    assert SquaredError()(context).item() == pytest.approx(2.0)
