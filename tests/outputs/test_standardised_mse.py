import numpy as np
import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.outputs import StandardisedMSE
from tests.outputs.distributions import judged


def test_value_by_hand():
    # The teacher's outputs are 100 apart from their mean, the student's 50 and 150 from the teacher's.
    student, teacher = torch.tensor([150.0, 150.0]), torch.tensor([100.0, 300.0])
    assert judged(StandardisedMSE(), student, teacher) == pytest.approx((0.5**2 + 1.5**2) / 2, rel=1e-5)


def test_value_by_numpy():
    student, teacher = torch.randn(8, 3), torch.randn(8, 3) * torch.tensor([1.0, 10.0, 0.1])
    s, t = student.cpu().numpy(), teacher.cpu().numpy()
    expected = np.mean((s - t) ** 2 / t.var(0))
    assert judged(StandardisedMSE(), student, teacher) == pytest.approx(expected, rel=1e-3)


def test_units_do_not_matter():
    student, teacher, units = torch.randn(8, 3), torch.randn(8, 3), torch.tensor([1.0, 100.0, 1000.0])
    expected = judged(StandardisedMSE(), student, teacher)
    assert judged(StandardisedMSE(), student * units, teacher * units) == pytest.approx(expected, rel=1e-4)


def test_answers_without_a_label_do_not_count():
    student, teacher, labels = (
        torch.randn(2, 4, 5),
        torch.randn(2, 4, 5),
        torch.tensor([[0, 1, -100, 3], [2, 1, 1, -100]]),
    )
    kept = labels != -100
    expected = judged(StandardisedMSE(), student[kept], teacher[kept])
    assert judged(StandardisedMSE(), student, teacher, labels) == pytest.approx(expected, rel=1e-5)


def test_single_sample_is_refused():
    with pytest.raises(ShapeMismatch, match="at least 2 samples"):
        judged(StandardisedMSE(), torch.randn(1, 3), torch.randn(1, 3))
