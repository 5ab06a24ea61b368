import numpy as np
import pytest
import torch

from limbeck.features import Feature
from limbeck.losses import FeatureGram


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0]], [[-1.0]], [[1.0]], [[-1.0]]]))
    teacher = Feature(torch.tensor([[[1.0]], [[1.0]], [[-1.0]], [[-1.0]]]))
    assert FeatureGram()(student, teacher).item() == pytest.approx(2.0, rel=1e-5)  # two orthogonal matrices of rank 1


def test_value_by_loops():
    student, teacher = torch.randn(4, 3, 2), torch.randn(4, 3, 5)
    grams = []
    for feature in (student, teacher):
        rows = feature.flatten(0, 1).cpu().numpy()
        rows = rows - rows.mean(0)
        rows = rows / np.sqrt((rows**2).sum())
        grams.append(np.array([[one @ other for other in rows] for one in rows]))
    expected = ((grams[0] - grams[1]) ** 2).sum()
    assert FeatureGram()(Feature(student), Feature(teacher)).item() == pytest.approx(expected, rel=1e-4)


def test_rotation_shift_and_scale_of_the_student_do_not_matter():
    student, teacher = torch.randn(6, 2, 4), Feature(torch.randn(6, 2, 3))
    turn, _ = torch.linalg.qr(torch.randn(4, 4))
    plain, moved = (FeatureGram()(Feature(x), teacher).item() for x in (student, 9 * student @ turn + 3))
    assert moved == pytest.approx(plain, rel=1e-3)
