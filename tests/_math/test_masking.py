import torch

from limbeck._math.masking import both_valid, masked_mean, zeroed


def test_position_counts_if_valid_on_both_sides():
    student, teacher = torch.tensor([[True, True, False]]), torch.tensor([[True, False, True]])
    assert both_valid(student, teacher).tolist() == [[True, False, False]]  # logical and, by hand
    assert both_valid(student, None) is student
    assert both_valid(None, teacher) is teacher
    assert both_valid(None, None) is None


def test_masked_mean_is_the_mean_of_what_is_left():
    values, valid = torch.tensor([[1.0, 2.0], [9.0, 100.0]]), torch.tensor([[True, True], [True, False]])
    assert masked_mean(values, valid).item() == 4.0  # (1 + 2 + 9) / 3
    assert masked_mean(values, None).item() == 28.0  # (1 + 2 + 9 + 100) / 4


def test_masked_mean_of_nothing_is_zero_with_zero_gradient():
    values = torch.ones(3, requires_grad=True)
    mean = masked_mean(values, torch.zeros(3, dtype=torch.bool))
    mean.backward()
    assert mean.item() == 0
    assert values.grad.tolist() == [0, 0, 0]


def test_nan_at_a_masked_position_reaches_neither_value_nor_gradient():
    x = torch.tensor([[[1.0], [torch.nan]]], requires_grad=True)
    valid = torch.tensor([[True, False]])
    mean = masked_mean(zeroed(x, valid).square().sum(-1), valid)
    mean.backward()
    assert mean.item() == 1.0
    assert x.grad.flatten().tolist() == [2.0, 0.0]  # d x^2 / dx at 1, and nothing at the padding
