import math

import numpy as np
import pytest
import torch

from limbeck.features import Feature
from limbeck.losses import PKT


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]]]))
    teacher = Feature(torch.tensor([[[2.0]], [[1.0]]]))
    # Rows (2/3, 1/3) of the student against (1/2, 1/2) of the teacher.
    row = 0.5 * math.log(0.5 / (2 / 3)) + 0.5 * math.log(0.5 / (1 / 3))
    assert PKT()(student, teacher).item() == pytest.approx(2 * row / 4, rel=1e-4)


def test_value_by_loops():
    student, teacher = torch.randn(5, 3, 2), torch.randn(5, 2, 4)
    probabilities = []
    for feature in (student, teacher):
        rows = feature.reshape(5, -1).cpu().numpy()
        kernel = np.array([[(a @ b / np.sqrt((a @ a) * (b @ b)) + 1) / 2 for b in rows] for a in rows])
        probabilities.append(kernel / kernel.sum(1, keepdims=True))
    s, t = probabilities
    expected = (t * np.log((t + 1e-7) / (s + 1e-7))).mean()  # the formula of the paper, the mean of the official code
    assert PKT()(Feature(student), Feature(teacher)).item() == pytest.approx(expected, rel=1e-4)


def test_rotation_and_scale_of_the_student_do_not_matter():
    student, teacher = torch.randn(6, 1, 4), Feature(torch.randn(6, 3, 2))
    turn, _ = torch.linalg.qr(torch.randn(4, 4))
    plain, turned = (PKT()(Feature(x), teacher).item() for x in (student, 9 * student @ turn))
    assert turned == pytest.approx(plain, rel=1e-3)  # cosines are the same


def test_opposite_samples_have_no_probability_and_a_finite_loss():
    student = Feature(torch.tensor([[[1.0]], [[-1.0]]]))
    teacher = Feature(torch.tensor([[[1.0]], [[1.0]]]))
    # The 1e-7 that is added decides here: about log(1/2 / 1e-7) / 4 for each of the two foreign pairs.
    assert 2 < PKT()(student, teacher).item() < 5
