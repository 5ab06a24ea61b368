import math

import pytest
import torch

from limbeck.outputs import ForwardKL, SoftLabels
from tests.outputs.distributions import judged, kl, softmax


def test_value_by_hand():
    # The teacher says (3/4, 1/4), the student (1/2, 1/2).
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert judged(ForwardKL(), [[0.0, 0.0]], torch.tensor([[0.75, 0.25]]).log()) == pytest.approx(expected, rel=1e-6)


def test_value_by_numpy_is_that_of_soft_labels_without_temperature():
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    expected = kl(softmax(teacher), softmax(student)).mean()
    assert judged(ForwardKL(), student, teacher) == pytest.approx(expected, rel=1e-5)
    assert judged(SoftLabels(temperature=1.0), student, teacher) == pytest.approx(expected, rel=1e-5)
