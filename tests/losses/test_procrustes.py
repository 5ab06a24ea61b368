import numpy as np
import pytest
import torch

from limbeck.features import Feature
from limbeck.losses import Procrustes


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0]], [[-1.0]], [[1.0]], [[-1.0]]]))
    teacher = Feature(torch.tensor([[[1.0]], [[1.0]], [[-1.0]], [[-1.0]]]))
    assert Procrustes()(student, teacher).item() == pytest.approx(2.0, abs=1e-6)  # orthogonal: nothing in common


def test_value_by_numpy_with_the_best_rotation():
    student, teacher = torch.randn(4, 3, 5), torch.randn(4, 3, 5)
    x, y = (each.flatten(0, 1).cpu().numpy() for each in (student, teacher))
    x, y = (each - each.mean(0) for each in (x, y))
    x, y = (each / np.sqrt((each**2).sum()) for each in (x, y))
    left, _, right = np.linalg.svd(x.T @ y)
    expected = ((x @ (left @ right) - y) ** 2).sum()
    assert Procrustes()(Feature(student), Feature(teacher)).item() == pytest.approx(expected, rel=1e-4)


def test_narrow_student_is_compared_as_if_padded_with_zeros():
    student, teacher = torch.randn(4, 3, 2), torch.randn(4, 3, 5)
    padded = torch.cat([student, torch.zeros(4, 3, 3)], -1)
    found, expected = (Procrustes()(Feature(x), Feature(teacher)).item() for x in (student, padded))
    assert found == pytest.approx(expected, rel=1e-4)


def test_rotation_shift_and_scale_of_the_student_do_not_matter():
    student, teacher = torch.randn(6, 2, 4), Feature(torch.randn(6, 2, 3))
    turn, _ = torch.linalg.qr(torch.randn(4, 4))
    plain, moved = (Procrustes()(Feature(x), teacher).item() for x in (student, 9 * student @ turn + 3))
    assert moved == pytest.approx(plain, rel=1e-3)


def test_masked_positions_are_left_out_of_the_mean_too():
    x, teacher = torch.randn(3, 4, 2), torch.randn(3, 4, 3)
    mask = torch.tensor([[True, True, True, False]] * 3)
    found = Procrustes()(Feature(x, mask=mask), Feature(teacher))
    expected = Procrustes()(Feature(x[:, :3]), Feature(teacher[:, :3]))
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
