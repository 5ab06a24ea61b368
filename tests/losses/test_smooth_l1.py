import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.losses import SmoothL1


def test_value_by_hand():
    student, teacher = Feature(torch.tensor([[[1.0, 2.0]]])), Feature(torch.tensor([[[1.5, -1.0]]]))
    assert SmoothL1()(student, teacher).item() == pytest.approx((0.125 + 2.5) / 2)  # 0.5^2 / 2 and 3 - 0.5


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_value_by_loops(beta):
    student, teacher = torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    gaps = np.abs(student.cpu().numpy() - teacher.cpu().numpy())
    expected = np.where(gaps < beta, gaps**2 / (2 * beta), gaps - beta / 2).mean()
    found = SmoothL1(beta=beta)(Feature(student), Feature(teacher))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_samples_are_averaged_to_the_loss():
    student, teacher = Feature(torch.randn(3, 4, 5)), Feature(torch.randn(3, 4, 5))
    loss = SmoothL1()
    assert loss.samples(student, teacher).mean().item() == pytest.approx(loss(student, teacher).item(), rel=1e-5)


def test_beta_of_zero_is_refused():
    with pytest.raises(RecipeError, match="positive beta"):
        SmoothL1(beta=0.0)
