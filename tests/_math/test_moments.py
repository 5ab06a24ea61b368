import numpy as np
import pytest
import torch

from limbeck._math.moments import centred_positions, channel_correlation, position_moments, standardised


def test_moments_are_those_of_the_valid_positions():
    x = torch.randn(2, 5, 3)
    mask = torch.tensor([[True, True, True, False, False], [True] * 5])
    mean, variance = position_moments(x, mask)
    rows = x.cpu().numpy()
    assert mean.numpy(force=True) == pytest.approx(np.stack([rows[0, :3].mean(0), rows[1].mean(0)]), rel=1e-4)
    expected = np.stack([rows[0, :3].var(0, ddof=1), rows[1].var(0, ddof=1)])
    assert variance.numpy(force=True) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("valid", [0, 1])
def test_one_position_or_none_has_no_variance(valid):
    mask = torch.tensor([[True] * valid + [False] * (3 - valid)])
    assert position_moments(torch.randn(1, 3, 2), mask)[1].abs().max() == 0


def test_standardised_is_batch_normalisation_in_training():
    x = torch.randn(4, 3, 5)
    expected = torch.nn.functional.batch_norm(x.transpose(1, 2), None, None, training=True, eps=1e-5).transpose(1, 2)
    assert torch.allclose(standardised(x, None, eps=1e-5), expected, atol=1e-5)


def test_masked_positions_are_zero_and_change_nothing():
    x, mask = torch.randn(4, 3, 2), torch.tensor([[True, True, False]] * 4)
    found = standardised(x, mask, eps=1e-5)
    assert found[:, 2].abs().max() == 0
    assert torch.allclose(found[:, :2], standardised(x[:, :2], None, eps=1e-5), atol=1e-5)
    assert torch.allclose(centred_positions(x, mask)[:, :2], centred_positions(x[:, :2], None), atol=1e-5)


def test_correlation_is_that_of_numpy():
    x, y = torch.randn(8, 2, 3), torch.randn(8, 2, 4)
    found = channel_correlation(standardised(x, None, eps=0.0), standardised(y, None, eps=0.0), None)
    expected = np.corrcoef(x.flatten(0, 1).cpu().numpy().T, y.flatten(0, 1).cpu().numpy().T)[:3, 3:]
    assert found.numpy(force=True) == pytest.approx(expected, abs=1e-4)
