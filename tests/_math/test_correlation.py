import numpy as np
import torch

from limbeck._math.correlation import pearson


def test_rows_correlate_as_in_numpy():
    first, second = torch.randn(4, 9), torch.randn(4, 9)
    expected = [np.corrcoef(a.cpu(), b.cpu())[0, 1] for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(pearson(first, second).cpu(), expected, rtol=1e-4)


def test_columns_that_are_not_valid_do_not_count():
    first, second, valid = torch.randn(4, 9), torch.randn(4, 9), torch.arange(9) % 3 > 0
    torch.testing.assert_close(pearson(first, second, valid), pearson(first[:, valid], second[:, valid]))
    first[:, 0] = 1e6
    torch.testing.assert_close(pearson(first, second, valid), pearson(first[:, valid], second[:, valid]))


def test_constant_row_correlates_with_nothing_and_has_a_finite_gradient():
    first = torch.zeros(1, 3, requires_grad=True)
    value = pearson(first, torch.tensor([[1.0, 2.0, 3.0]]))
    value.sum().backward()
    assert value.item() == 0
    assert torch.isfinite(first.grad).all()
