import numpy as np
import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import RKDDistance


def huber(gap):
    gap = np.abs(gap)
    return np.where(gap < 1, gap**2 / 2, gap - 0.5)


def test_value_by_hand():
    student = Feature(torch.tensor([[[0.0]], [[1.0]], [[2.0]]]))
    teacher = Feature(torch.tensor([[[0.0, 0.0]], [[3.0, 0.0]], [[0.0, 4.0]]]))
    # Distances 1, 1, 2 over 4/3 against 3, 5, 4 over 4: gaps 0, 1/2 and 1/2, each twice in 9 entries.
    assert RKDDistance()(student, teacher).item() == pytest.approx(4 * 0.125 / 9, rel=1e-5)


def test_value_by_loops():
    student, teacher = torch.randn(5, 3, 2), 3 * torch.randn(5, 2, 4)
    relative = []
    for feature in (student, teacher):
        rows = feature.reshape(5, -1).cpu().numpy()
        apart = np.array([[np.sqrt(((a - b) ** 2).sum()) for b in rows] for a in rows])
        relative.append(apart / apart[apart > 0].mean())
    expected = huber(relative[0] - relative[1]).mean()  # eqs. 4 to 6 of the paper
    assert RKDDistance()(Feature(student), Feature(teacher)).item() == pytest.approx(expected, rel=1e-4)


def test_shift_rotation_and_scale_of_the_student_do_not_matter():
    student, teacher = torch.randn(6, 1, 4), Feature(torch.randn(6, 3, 2))
    turn, _ = torch.linalg.qr(torch.randn(4, 4))
    plain, moved = (RKDDistance()(Feature(x), teacher).item() for x in (student, 9 * student @ turn + 3))
    assert moved == pytest.approx(plain, rel=1e-3)


def test_two_samples_are_refused_as_their_relative_distance_is_always_one():
    with pytest.raises(ShapeMismatch, match="at least 3 samples"):
        RKDDistance()(Feature(torch.randn(2, 1, 3)), Feature(torch.randn(2, 1, 3)))
