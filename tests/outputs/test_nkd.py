import math

import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.outputs import NKD
from tests.outputs.distributions import judged, softmax


def test_value_by_hand():
    # The teacher says (1/2, 3/8, 1/8), the student (1/3, 1/3, 1/3); the label is the first.
    teacher = torch.tensor([[0.5, 0.375, 0.125]]).log()
    expected = 0.5 * math.log(3) + 1.5 * math.log(2)  # the student gives each of the others a half
    assert judged(NKD(), [[0.0, 0.0, 0.0]], teacher, torch.tensor([0])) == pytest.approx(expected, rel=1e-5)


def test_value_by_loops():
    student, teacher, labels = torch.randn(6, 5), torch.randn(6, 5), torch.randint(0, 5, (6,))
    values = []
    for s, t, y in zip(student, teacher, labels.tolist(), strict=True):
        target = -softmax(t)[y] * np.log(softmax(s)[y])
        rest = [k for k in range(5) if k != y]
        p, q = softmax(t[rest], 3.0), softmax(s[rest], 3.0)
        values.append(target - 2 * 9 * (p * np.log(q)).sum())
    found = judged(NKD(gamma=2.0, temperature=3.0), student, teacher, labels)
    assert found == pytest.approx(np.mean(values), rel=1e-5)


def test_gamma_below_zero_is_refused():
    with pytest.raises(RecipeError, match=r"gamma -1\.0"):
        NKD(gamma=-1.0)
