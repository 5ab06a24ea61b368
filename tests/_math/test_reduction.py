import pytest
import torch

from limbeck._math.reduction import sum_by_sample


def test_sum_is_averaged_over_samples_and_leaves_out_what_is_not_valid():
    values = torch.arange(12.0).reshape(2, 3, 2)
    valid = torch.tensor([[True, False, True], [False, False, True]])
    assert sum_by_sample(values, valid, mean=False).item() == (0 + 1 + 4 + 5 + 10 + 11) / 2
    assert sum_by_sample(values, valid, mean=True).item() == pytest.approx((0 + 1 + 4 + 5 + 10 + 11) / 6)


def test_no_valid_position_gives_zero():
    assert sum_by_sample(torch.ones(2, 3, 2), torch.zeros(2, 3, dtype=torch.bool), mean=True).item() == 0.0
