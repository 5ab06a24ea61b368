import math

import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import CorrelationCongruence


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0, 0.0]], [[0.0, 3.0]]]))
    teacher = Feature(torch.tensor([[[2.0]], [[1.0]]]))
    # Cosines 0 and 1 between the two samples: e^-0.8 (0.8 + 0.8^2 / 2) in 2 of 4 entries.
    expected = (math.exp(-0.8) * (0.8 + 0.32)) ** 2 / 2
    assert CorrelationCongruence()(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("gamma", "order"), [(0.4, 2), (1.0, 1), (0.7, 4)])
def test_value_by_loops(gamma, order):
    student, teacher = torch.randn(5, 3, 2), torch.randn(5, 2, 4)
    kernels = []
    for feature in (student, teacher):
        rows = feature.reshape(5, -1).cpu().numpy()
        rows = [row / np.sqrt((row**2).sum()) for row in rows]
        series = [
            [(2 * gamma * (a @ b)) ** p / math.factorial(p) for a in rows for b in rows] for p in range(order + 1)
        ]
        kernels.append(math.exp(-2 * gamma) * np.array(series).sum(0))
    expected = ((kernels[0] - kernels[1]) ** 2).sum() / 5**2  # the formula of the paper
    found = CorrelationCongruence(gamma=gamma, order=order)(Feature(student), Feature(teacher))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_many_terms_give_the_gaussian_kernel():
    x = torch.randn(6, 1, 4)
    unit = torch.nn.functional.normalize(x.flatten(1), dim=1)
    gaussian = torch.exp(-0.4 * torch.cdist(unit, unit).square())
    found = CorrelationCongruence(order=20)._kernel(Feature(x))
    assert torch.allclose(found, gaussian, atol=1e-5)  # e^(-gamma |a - b|^2) for a, b of length 1


@pytest.mark.parametrize("options", [{"gamma": 0.0}, {"order": 0}])
def test_meaningless_option_is_refused(options):
    with pytest.raises(RecipeError, match=r"positive gamma"):
        CorrelationCongruence(**options)


def test_single_sample_is_refused():
    with pytest.raises(ShapeMismatch, match="at least 2 samples"):
        CorrelationCongruence()(Feature(torch.ones(1, 2, 3)), Feature(torch.ones(1, 2, 3)))
