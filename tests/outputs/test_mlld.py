import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.outputs import MLLD
from tests.outputs.distributions import judged, kl, softmax


def test_value_by_hand():
    # At T = 1 the teacher says (3/4, 1/4), the student (1/2, 1/2).
    answer = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    sample = (5 / 8 - 1 / 2) ** 2  # squared lengths of both answers
    classes = ((9 / 16 - 1 / 4) ** 2 + 2 * (3 / 16 - 1 / 4) ** 2 + (1 / 16 - 1 / 4) ** 2) / 2
    found = judged(MLLD(temperatures=(1.0,)), [[0.0, 0.0]], torch.tensor([[0.75, 0.25]]).log())
    assert found == pytest.approx(answer + sample + classes, rel=1e-5)


def test_value_by_loops():
    student, teacher = torch.randn(4, 3), torch.randn(4, 3)
    expected = 0.0
    for temperature in (2.0, 3.0, 4.0, 5.0, 6.0):
        p, q = softmax(teacher, temperature), softmax(student, temperature)
        expected += temperature**2 * kl(p, q).mean()
        expected += sum((p[i] @ p[j] - q[i] @ q[j]) ** 2 for i in range(4) for j in range(4)) / 4
        expected += sum((p[:, i] @ p[:, j] - q[:, i] @ q[:, j]) ** 2 for i in range(3) for j in range(3)) / 3
    assert judged(MLLD(), student, teacher) == pytest.approx(expected, rel=1e-5)


def test_answers_without_a_label_do_not_count():
    student, teacher, labels = torch.randn(2, 3, 5), torch.randn(2, 3, 5), torch.tensor([[0, 1, -100], [2, -100, -100]])
    kept = labels != -100
    assert judged(MLLD(), student, teacher, labels) == pytest.approx(
        judged(MLLD(), student[kept], teacher[kept]), rel=1e-5
    )


@pytest.mark.parametrize("temperatures", [(), (2.0, 0.0)])
def test_temperatures_that_are_not_positive_are_refused(temperatures):
    with pytest.raises(RecipeError, match="above 0"):
        MLLD(temperatures=temperatures)
