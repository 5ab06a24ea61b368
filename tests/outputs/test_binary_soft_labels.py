import math

import numpy as np
import pytest
import torch

from limbeck.context import Context
from limbeck.errors import RecipeError
from limbeck.outputs import BinarySoftLabels, SoftLabels


def test_value_by_hand():
    # At T = 1 the teacher says 3/4, the student 1/2.
    context = Context(student_output=torch.zeros(1, 1), teacher_output=torch.tensor([[math.log(3.0)]]))
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert BinarySoftLabels(temperature=1.0)(context).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_value_is_the_mean_over_samples_and_labels_in_numpy(temperature):
    student, teacher = torch.randn(6, 5), torch.randn(6, 5)
    q, p = (1 / (1 + np.exp(-each.numpy() / temperature)) for each in (student, teacher))
    expected = temperature**2 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean()
    context = Context(student_output=student, teacher_output=teacher)
    assert BinarySoftLabels(temperature=temperature)(context).item() == pytest.approx(expected, rel=1e-4)


def test_one_logit_is_the_softmax_of_it_and_zero():
    student, teacher = torch.randn(8, 1), torch.randn(8, 1)
    pairs = [torch.cat([each, torch.zeros(8, 1)], 1) for each in (student, teacher)]
    expected = SoftLabels(temperature=2.0)(Context(student_output=pairs[0], teacher_output=pairs[1]))
    found = BinarySoftLabels(temperature=2.0)(Context(student_output=student, teacher_output=teacher))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_temperature_of_zero_is_refused():
    with pytest.raises(RecipeError, match=r"0\.0"):
        BinarySoftLabels(temperature=0.0)
