import numpy as np
import pytest
import torch

from limbeck._math.gram import centred, distances, flattened, u_centred, unbiased_hsic, unit_gram
from limbeck.features import Feature


def hsic_by_definition(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al. 2012 as Nguyen et al. 2021 write it (eq. 3): traces and sums, nothing centred."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    parts = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * one @ k @ m @ one
    return parts / (n * (n - 3))


@pytest.mark.parametrize("n", [4, 5, 16])
def test_inner_product_of_centred_matrices_is_the_unbiased_hsic(n):
    x, y = torch.randn(n, 3, dtype=torch.float64), torch.randn(n, 7, dtype=torch.float64)
    found = unbiased_hsic(u_centred(x @ x.T), u_centred(y @ y.T)).item()
    expected = hsic_by_definition((x @ x.T).cpu().numpy(), (y @ y.T).cpu().numpy())  # the formula of the paper
    assert found == pytest.approx(expected, rel=1e-9)


def test_unbiased_hsic_does_not_see_the_mean():
    x, y = torch.randn(8, 3, dtype=torch.float64) + 50, torch.randn(8, 3, dtype=torch.float64)
    raw = unbiased_hsic(u_centred(x @ x.T), u_centred(y @ y.T))
    moved = unbiased_hsic(u_centred(centred(x) @ centred(x).T), u_centred(y @ y.T))
    assert raw.item() == pytest.approx(moved.item(), rel=1e-6)  # HSIC is a statistic of centred features


def test_unit_gram_by_hand():
    found = unit_gram(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    # Inner products ((1, 1), (1, 2)), rows divided by sqrt(2) and sqrt(5).
    expected = torch.tensor([[0.5**0.5, 0.5**0.5], [0.2**0.5, 2 * 0.2**0.5]])
    assert torch.allclose(found, expected)


def test_flattened_feature_is_zero_where_masked():
    feature = Feature(torch.ones(1, 2, 2), mask=torch.tensor([[True, False]]))
    assert flattened(feature).tolist() == [[1, 1, 0, 0]]


def test_distances_are_those_of_cdist():
    x = torch.randn(6, 4) + 10
    assert torch.allclose(distances(x), torch.cdist(x, x), atol=1e-4)


def test_equal_samples_have_a_finite_gradient():
    x = torch.ones(3, 2, requires_grad=True)
    distances(x).sum().backward()
    assert torch.isfinite(x.grad).all()
