import numpy as np
import pytest
import torch

from limbeck._math.principal import principal


@pytest.mark.parametrize("shape", [(20, 6), (6, 20)], ids=["more rows", "more columns"])
def test_axes_are_those_of_the_singular_value_decomposition(shape):
    x = torch.randn(shape)
    found = principal(x, 3).cpu().numpy()
    centred = x.double().cpu().numpy()
    centred = centred - centred.mean(0)
    u, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found), np.abs(u[:, :3] * sizes[:3]), atol=1e-6)


def test_directions_of_rounding_are_left_out():
    turn, _ = torch.linalg.qr(torch.randn(50, 3))
    assert principal(torch.randn(30, 3) @ turn.T, 10).shape == (30, 3)


def test_rows_that_are_all_equal_have_no_axes():
    assert principal(torch.full((5, 4), 0.1), 3).shape == (5, 0)
