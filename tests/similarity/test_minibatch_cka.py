import numpy as np
import pytest
import torch

from limbeck.errors import DataError
from limbeck.features import Feature
from limbeck.similarity import MinibatchCKA


def hsic(k: np.ndarray, m: np.ndarray) -> float:
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    parts = np.trace(k @ m) + (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * one @ k @ m @ one
    return parts / (n * (n - 3))


def measured(pairs) -> float:
    similarity = MinibatchCKA()
    for student, teacher in pairs:
        similarity.update({"s": Feature(student)}, {"t": Feature(teacher)})
    return similarity.compute().item()


def test_value_is_the_ratio_of_averages_and_not_the_average_of_ratios():
    pairs = [(torch.randn(8, 2, 3), torch.randn(8, 1, 4)) for _ in range(3)]
    sums = np.zeros(3)
    for student, teacher in pairs:
        x, y = (each.reshape(8, -1).double().cpu().numpy() for each in (student, teacher))
        sums += hsic(x @ x.T, y @ y.T), hsic(x @ x.T, x @ x.T), hsic(y @ y.T, y @ y.T)
    expected = sums[0] / np.sqrt(sums[1] * sums[2])  # Nguyen et al. 2021, eq. 2 and 3
    assert measured(pairs) == pytest.approx(expected, abs=1e-5)


def test_independent_features_are_not_alike_at_any_batch_size():
    student, teacher = torch.randn(1024, 1, 128), torch.randn(1024, 1, 192)
    for batch in (16, 64):
        # The trap that methods of this kind fall into: the biased mean is about 0.9 here; unbiased it is 0.
        assert abs(measured(zip(student.split(batch), teacher.split(batch), strict=True))) < 0.02


def test_batch_size_does_not_change_what_is_estimated():
    student = torch.randn(1024, 1, 32)
    teacher = student @ torch.randn(32, 48) + 2 * torch.randn(1024, 1, 48)
    small, large = (measured(zip(student.split(n), teacher.split(n), strict=True)) for n in (16, 256))
    assert small == pytest.approx(large, abs=0.03)  # both unbiased


def test_scale_of_ten_thousand_does_not_overflow():
    student = 1e4 * torch.randn(8, 64, 16)
    assert measured([(student, 2 * student)]) == pytest.approx(1.0, abs=1e-4)  # a scaled copy


def test_last_small_batch_is_left_out():
    full = [(torch.randn(8, 1, 3), torch.randn(8, 1, 4)) for _ in range(2)]
    assert measured([*full, (torch.ones(2, 1, 3), torch.ones(2, 1, 4))]) == measured(full)


def test_only_small_batches_are_refused():
    with pytest.raises(DataError, match="at least 4 samples"):
        measured([(torch.randn(3, 1, 3), torch.randn(3, 1, 4))] * 5)


def test_nothing_at_all_is_refused():
    with pytest.raises(DataError, match="at least 4 samples"):
        MinibatchCKA().compute()
