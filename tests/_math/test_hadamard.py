import pytest
import torch

from limbeck._math.hadamard import hadamard

# Sylvester: 4, 8, 64. Paley I: 12, 20, 44. Paley II: 28 = 2 (13 + 1), 36 = 2 (17 + 1). Products: 24, 40, 96, 320, 768.
FOUND = [1, 2, 4, 8, 12, 20, 24, 28, 36, 40, 44, 64, 96, 192, 320, 384, 768]


@pytest.mark.parametrize("order", FOUND)
def test_entries_are_one_or_minus_one_and_rows_orthogonal(order):
    matrix = hadamard(order)
    assert (matrix.abs() == 1).all()
    assert torch.equal(matrix @ matrix.T, order * torch.eye(order, dtype=torch.float64, device="cpu"))  # the definition


def test_order_four_is_that_of_sylvester():
    assert hadamard(4).tolist() == [[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]


@pytest.mark.parametrize("order", [3, 6, 10, 90])
def test_there_is_none_of_an_order_that_four_does_not_divide(order):
    assert hadamard(order) is None


def test_orders_that_are_left_out_are_those_that_the_docstring_names():
    missing = [order for order in range(4, 120, 4) if hadamard(order) is None]
    assert missing == [52, 92, 100, 116]
