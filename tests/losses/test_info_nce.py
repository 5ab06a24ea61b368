import math

import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import InfoNCE


def test_value_by_hand():
    student = Feature(torch.tensor([[[2.0, 0.0]], [[0.0, 3.0]]]))
    teacher = Feature(torch.tensor([[[0.0, 1.0]], [[1.0, 0.0]]]))
    # Each sample is at 0 to its own and at 1 to the other.
    assert InfoNCE(temperature=1.0)(student, teacher).item() == pytest.approx(math.log(1 + math.e), rel=1e-5)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_value_by_loops(temperature):
    student, teacher = torch.randn(5, 1, 4), torch.randn(5, 1, 4)
    s, t = ([row / np.sqrt((row**2).sum()) for row in each[:, 0].cpu().numpy()] for each in (student, teacher))
    exponents = np.array([[math.exp(a @ b / temperature) for b in t] for a in s])
    own = np.diag(exponents)
    expected = -(np.log(own / exponents.sum(1)) + np.log(own / exponents.sum(0))).mean() / 2
    assert InfoNCE(temperature=temperature)(Feature(student), Feature(teacher)).item() == pytest.approx(
        expected, rel=1e-4
    )


def test_single_sample_is_refused():
    with pytest.raises(ShapeMismatch, match="at least 2 samples"):
        InfoNCE()(Feature(torch.ones(1, 1, 3)), Feature(torch.ones(1, 1, 3)))


def test_temperature_of_zero_is_refused():
    with pytest.raises(RecipeError, match="positive temperature"):
        InfoNCE(temperature=0.0)
