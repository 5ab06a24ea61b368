import numpy as np
import pytest
import torch

from limbeck.features import Feature
from limbeck.losses import Cosine


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0, 0.0], [2.0, 0.0]]]))
    teacher = Feature(torch.tensor([[[3.0, 3.0], [-1.0, 0.0]]]))
    expected = ((1 - 0.5**0.5) + 2) / 2  # 45 degrees, and opposite
    assert Cosine()(student, teacher).item() == pytest.approx(expected, rel=1e-6)


def test_value_by_numpy_over_valid_positions():
    student, teacher, mask = torch.randn(3, 4, 5), torch.randn(3, 4, 5), torch.rand(3, 4) > 0.4
    s, t = student.cpu().numpy()[mask.cpu().numpy()], teacher.cpu().numpy()[mask.cpu().numpy()]
    cosine = (s * t).sum(1) / np.sqrt((s**2).sum(1) * (t**2).sum(1))  # the definition
    found = Cosine()(Feature(student), Feature(teacher, mask=mask))
    assert found.item() == pytest.approx((1 - cosine).mean(), rel=1e-5)


def test_length_does_not_matter():
    student, teacher = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    plain = Cosine()(Feature(student), Feature(teacher))
    scaled = Cosine()(Feature(7 * student), Feature(0.1 * teacher))
    assert plain.item() == pytest.approx(scaled.item(), rel=1e-5)  # invariance of an angle


def test_zero_against_a_vector_counts_half():
    # Half the squared distance of 0 to a unit vector, as the docstring says.
    assert Cosine()(Feature(torch.zeros(1, 1, 3)), Feature(torch.ones(1, 1, 3))).item() == pytest.approx(0.5)
