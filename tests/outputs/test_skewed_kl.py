import math

import pytest
import torch

from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs import ForwardKL, ReverseKL, SkewedForwardKL, SkewedReverseKL
from tests.outputs.distributions import judged, kl, softmax


def test_values_by_hand():
    # The teacher says (3/4, 1/4), the student (1/2, 1/2); half of each is (5/8, 3/8).
    student, teacher = [[0.0, 0.0]], torch.tensor([[0.75, 0.25]]).log()
    forward = 0.75 * math.log(0.75 / 0.625) + 0.25 * math.log(0.25 / 0.375)
    reverse = 0.5 * math.log(0.5 / 0.625) + 0.5 * math.log(0.5 / 0.375)
    assert judged(SkewedForwardKL(alpha=0.5), student, teacher) == pytest.approx(forward, rel=1e-5)
    assert judged(SkewedReverseKL(alpha=0.5), student, teacher) == pytest.approx(reverse, rel=1e-5)


def test_values_by_numpy():
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    p, q = softmax(teacher), softmax(student)
    # sec. 3.1 of the paper: each is mixed a tenth into what it is compared with.
    assert judged(SkewedForwardKL(), student, teacher) == pytest.approx(kl(p, 0.1 * p + 0.9 * q).mean(), rel=1e-5)
    assert judged(SkewedReverseKL(), student, teacher) == pytest.approx(kl(q, 0.1 * q + 0.9 * p).mean(), rel=1e-5)


@pytest.mark.parametrize(("skewed", "plain"), [(SkewedForwardKL, ForwardKL), (SkewedReverseKL, ReverseKL)])
def test_nothing_mixed_in_is_the_plain_divergence(skewed, plain):
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    assert judged(skewed(alpha=0.0), student, teacher) == judged(plain(), student, teacher)


def test_certain_teacher_and_student_that_differ_stay_bounded():
    student = torch.tensor([[500.0, 0.0]], requires_grad=True)
    value = SkewedForwardKL()(Context(student_output=student, teacher_output=torch.tensor([[0.0, 500.0]])))
    assert value.item() == pytest.approx(-math.log(0.1), rel=1e-5)  # p log(p / (0.1 p))


@pytest.mark.parametrize("cls", [SkewedForwardKL, SkewedReverseKL])
@pytest.mark.parametrize("alpha", [-0.1, 1.0])
def test_share_out_of_range_is_refused(cls, alpha):
    with pytest.raises(RecipeError, match=str(alpha)):
        cls(alpha=alpha)
