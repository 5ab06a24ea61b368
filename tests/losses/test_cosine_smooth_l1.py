import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.losses import Cosine, CosineSmoothL1


def test_value_by_hand():
    student, teacher = Feature(torch.tensor([[[0.0, 3.0]]])), Feature(torch.tensor([[[0.5, 0.0]]]))
    # Right angle: 1. Smooth L1: 0.5^2 / 2 = 0.125 and 3 - 0.5 = 2.5, mean 1.3125. Half of each.
    assert CosineSmoothL1()(student, teacher).item() == pytest.approx(0.5 + 1.3125 / 2)


@pytest.mark.parametrize(("share", "beta"), [(0.5, 1.0), (0.9, 2.0), (0.0, 0.5)])
def test_value_by_numpy(share, beta):
    student, teacher = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    s, t = student.cpu().numpy(), teacher.cpu().numpy()
    cosine = (s * t).sum(-1) / np.sqrt((s**2).sum(-1) * (t**2).sum(-1))
    d = np.abs(s - t)
    length = np.where(d < beta, d**2 / (2 * beta), d - beta / 2).mean(-1)  # Huber's formula over beta
    expected = (share * (1 - cosine) + (1 - share) * length).mean()
    found = CosineSmoothL1(cosine=share, beta=beta)(Feature(student), Feature(teacher))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_share_of_one_is_the_cosine_distance():
    student, teacher = Feature(torch.randn(3, 4, 5)), Feature(torch.randn(3, 4, 5))
    found = CosineSmoothL1(cosine=1.0)(student, teacher)
    assert found.item() == pytest.approx(Cosine()(student, teacher).item(), rel=1e-6)  # the other half has no weight


@pytest.mark.parametrize("options", [{"cosine": 1.5}, {"cosine": -0.1}, {"beta": 0.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(RecipeError, match=str(next(iter(options.values())))):
        CosineSmoothL1(**options)
