import pytest
import torch

from limbeck._math.equal_diagonal import equal_diagonal


@pytest.mark.parametrize("order", [1, 2, 3, 4, 6, 10, 12, 52, 90])
def test_all_axes_have_the_mean_variance_after_a_rotation(order):
    variances = 10 ** torch.linspace(-4, 3, order, dtype=torch.float64, device="cpu")
    turned = equal_diagonal(variances)
    identity = torch.eye(order, dtype=torch.float64, device="cpu")
    assert torch.allclose(turned @ turned.T, identity, atol=1e-10)
    diagonal = (turned @ torch.diag(variances) @ turned.T).diagonal()
    assert torch.allclose(diagonal, variances.mean().expand(order), rtol=1e-9)


@pytest.mark.parametrize("variances", [[1.0, 1.0, 1.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0]])
def test_equal_and_absent_variances_are_no_trouble(variances):
    variances = torch.tensor(variances, dtype=torch.float64, device="cpu")
    turned = equal_diagonal(variances)
    assert torch.allclose((turned @ torch.diag(variances) @ turned.T).diagonal(), variances.mean().expand(3))


def test_with_a_hadamard_matrix_all_entries_are_of_one_size():
    assert torch.allclose(equal_diagonal(torch.rand(12)).abs(), torch.tensor(12**-0.5))
