import numpy as np
import pytest
import torch

from limbeck.features import Feature
from limbeck.losses import ICKD


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), (2,))
    teacher = Feature(torch.tensor([[[1.0, 1.0]]]))
    # The identity against rows (1, 1)/sqrt(2).
    expected = (2 * (1 - 0.5**0.5) ** 2 + 2 * 0.5) / 2
    assert ICKD()(student, teacher).item() == pytest.approx(expected, rel=1e-5)


def test_value_by_loops_on_different_grids():
    student, teacher = torch.randn(3, 6, 4), torch.randn(3, 9, 4)
    total = 0.0
    for pair in zip(student.cpu().numpy(), teacher.cpu().numpy(), strict=True):
        grams = [np.array([[a @ b for a in each.T] for b in each.T]) for each in pair]
        one, other = ([row / np.sqrt((row**2).sum()) for row in gram] for gram in grams)
        total += ((np.array(one) - np.array(other)) ** 2).sum() / 4
    found = ICKD()(Feature(student, (2, 3)), Feature(teacher, (3, 3)))
    assert found.item() == pytest.approx(total / 3, rel=1e-4)  # divided as the official code does


def test_scale_of_a_sample_does_not_matter():
    student, teacher = torch.randn(2, 5, 3), Feature(torch.randn(2, 4, 3), (4,))
    found, expected = (ICKD()(Feature(x, (5,)), teacher).item() for x in (30 * student, student))
    assert found == pytest.approx(expected, rel=1e-4)
