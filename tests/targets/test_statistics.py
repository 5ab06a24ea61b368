import numpy as np
import torch

from limbeck.features import Feature
from limbeck.targets.statistics import Covariance, Moments, principal_axes


def gathered(statistics, *parts):
    for part in parts:
        statistics.add(Feature(part))
    return statistics


def test_covariance_is_that_of_numpy_over_batches_of_different_size():
    parts = [torch.randn(size, 4, 3) @ torch.randn(3, 3) + 7 for size in (2, 9, 1)]
    found = gathered(Covariance(3), *parts)
    rows = np.concatenate([each.cpu().numpy().reshape(-1, 3) for each in parts]).astype(np.float64)
    assert found.positions == 48  # 12 samples of 4
    assert np.allclose(found.mean.numpy(), rows.mean(0))
    assert np.allclose(found.spread.numpy(), np.cov(rows.T, bias=True))
    assert np.allclose(gathered(Moments(3), *parts).spread.numpy(), rows.var(0))


def test_mean_far_from_zero_costs_no_precision():
    noise = torch.randn(256, 1, 2, dtype=torch.float64)
    far = gathered(Covariance(2), *(1e6 + part for part in noise.split(32))).spread
    assert torch.allclose(far, gathered(Covariance(2), noise).spread, rtol=1e-4, atol=1e-6)


def test_axes_have_one_sign_whatever_the_decomposition_gives():
    x = torch.randn(50, 5, dtype=torch.float64)
    covariance = x.T @ x
    variances, axes = principal_axes(covariance)
    assert torch.allclose(axes.T @ torch.diag(variances) @ axes, covariance)
    assert (axes.gather(1, axes.abs().argmax(1, keepdim=True)) > 0).all()
    assert (variances.diff() <= 0).all()
