import math

import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.outputs import ForwardKL, JensenShannon, ReverseKL
from tests.outputs.distributions import judged, kl, softmax


def test_value_by_hand():
    # The teacher says (3/4, 1/4), the student (1/2, 1/2), their middle is (5/8, 3/8).
    p = 0.75 * math.log(0.75 / 0.625) + 0.25 * math.log(0.25 / 0.375)
    q = 0.5 * math.log(0.5 / 0.625) + 0.5 * math.log(0.5 / 0.375)
    found = judged(JensenShannon(), [[0.0, 0.0]], torch.tensor([[0.75, 0.25]]).log())
    assert found == pytest.approx((p + q) / 2, rel=1e-5)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_value_by_numpy(beta):
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    p, q = softmax(teacher), softmax(student)
    middle = beta * p + (1 - beta) * q
    expected = (beta * kl(p, middle) + (1 - beta) * kl(q, middle)).mean()  # the formula of the paper
    assert judged(JensenShannon(beta=beta), student, teacher) == pytest.approx(expected, rel=1e-5)


def test_ends_are_the_two_divergences():
    student, teacher = torch.randn(6, 5, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64)
    near = 1e-6
    forward, reverse = judged(ForwardKL(), student, teacher), judged(ReverseKL(), student, teacher)
    assert judged(JensenShannon(beta=near), student, teacher) / near == pytest.approx(forward, rel=1e-3)
    assert judged(JensenShannon(beta=1 - near), student, teacher) / near == pytest.approx(reverse, rel=1e-3)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_ends_themselves_are_refused_and_the_divergences_named(beta):
    with pytest.raises(RecipeError, match=rf"Found {beta}.*ForwardKL or ReverseKL"):
        JensenShannon(beta=beta)
