import numpy as np
import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import CKA


def hsic(k: np.ndarray, m: np.ndarray) -> float:
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    parts = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * one @ k @ m @ one
    return parts / (n * (n - 3))


@pytest.mark.parametrize("batch", [4, 9])
def test_value_by_the_formula_of_the_paper(batch):
    student, teacher = torch.randn(batch, 3, 4), torch.randn(batch, 2, 5)
    x, y = (each.reshape(batch, -1).double().cpu().numpy() for each in (student, teacher))
    k, m = x @ x.T, y @ y.T
    expected = 1 - hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))  # Nguyen et al. 2021, eq. 3, on one batch
    assert CKA()(Feature(student), Feature(teacher)).item() == pytest.approx(expected, rel=1e-4)


def test_value_by_hand():
    # Four corners of a square, one axis against the other. Off the diagonal a row of either Gram matrix sums to -1 and
    # all to -4, so that U-centring adds 1/2 + 1/2 - 4/6: 1 becomes 4/3 (two pairs), -1 becomes -2/3 (four pairs).
    # Over pairs: K with L is 4 (4/3)(-2/3) + 2 (4/9) = -24/9, each with itself 2 (16/9) + 4 (4/9) = 48/9. CKA = -1/2.
    a, b = torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([1.0, -1.0, 1.0, -1.0])
    found = CKA()(Feature(a.view(4, 1, 1)), Feature(b.view(4, 1, 1)))
    assert found.item() == pytest.approx(1.5, rel=1e-5)


def test_rotation_scale_and_shift_do_not_matter():
    student, teacher = torch.randn(8, 1, 6), Feature(torch.randn(8, 3, 2))
    turn, _ = torch.linalg.qr(torch.randn(6, 6))
    plain, turned = (CKA()(Feature(x), teacher).item() for x in (student, 30 * student @ turn + 5))
    assert turned == pytest.approx(plain, abs=1e-4)  # what CKA is invariant to, by its definition


def test_unrelated_features_are_one_apart_on_average_though_the_batch_is_small():
    values = [CKA()(Feature(torch.randn(16, 1, 64)), Feature(torch.randn(16, 1, 64))).item() for _ in range(30)]
    # Unbiased: about 0 alike, so 1 apart. The biased estimate would say 0.2.
    assert np.mean(values) == pytest.approx(1.0, abs=0.05)


def test_three_samples_are_refused():
    with pytest.raises(ShapeMismatch, match="at least 4 samples"):
        CKA()(Feature(torch.ones(3, 2, 3)), Feature(torch.ones(3, 2, 3)))
