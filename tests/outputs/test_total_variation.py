import pytest
import torch

from limbeck.outputs import TotalVariation
from tests.outputs.distributions import judged, softmax


def test_value_by_hand():
    # A quarter lies elsewhere in (3/4, 1/4) than in (1/2, 1/2).
    teacher = torch.tensor([[0.75, 0.25]]).log()
    assert judged(TotalVariation(), [[0.0, 0.0]], teacher) == pytest.approx(0.25, rel=1e-6)


def test_value_by_numpy():
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    expected = abs(softmax(teacher) - softmax(student)).sum(1).mean() / 2
    assert judged(TotalVariation(), student, teacher) == pytest.approx(expected, rel=1e-5)
