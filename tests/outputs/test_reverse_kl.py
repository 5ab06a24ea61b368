import math

import pytest
import torch

from limbeck.outputs import ReverseKL
from tests.outputs.distributions import judged, kl, softmax


def test_value_by_hand():
    # The student says (1/2, 1/2), the teacher (3/4, 1/4).
    expected = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert judged(ReverseKL(), [[0.0, 0.0]], torch.tensor([[0.75, 0.25]]).log()) == pytest.approx(expected, rel=1e-6)


def test_value_by_numpy():
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    expected = kl(softmax(student), softmax(teacher)).mean()
    assert judged(ReverseKL(), student, teacher) == pytest.approx(expected, rel=1e-5)
