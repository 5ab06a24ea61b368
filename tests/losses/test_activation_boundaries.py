import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.losses import ActivationBoundaries


def test_value_by_hand():
    student = Feature(torch.tensor([[[0.0, -3.0]], [[-0.5, 1.0]]]))
    teacher = Feature(torch.tensor([[[1.0, -1.0]], [[-1.0, 0.0]]]))
    # 1 short of the margin, 3 beyond it; ½ short on the other side, 2 on the wrong side (a zero is not active).
    assert ActivationBoundaries()(student, teacher).item() == pytest.approx((1 + 0 + 0.25 + 4) / 2)


def test_value_by_the_cases_of_the_paper():
    student, teacher = 2 * torch.randn(3, 4, 5), torch.randn(3, 4, 5)
    total = 0.0
    for s, t in zip(student.flatten().tolist(), teacher.flatten().tolist(), strict=True):
        if s > -1 and t <= 0:
            total += (s + 1) ** 2
        if s <= 1 and t > 0:
            total += (s - 1) ** 2
    assert ActivationBoundaries()(Feature(student), Feature(teacher)).item() == pytest.approx(total / 3, rel=1e-5)


def test_mean_is_over_valid_values():
    student, teacher = Feature(torch.zeros(1, 2, 2), mask=torch.tensor([[True, False]])), Feature(torch.ones(1, 2, 2))
    assert ActivationBoundaries(mean=True)(student, teacher).item() == 1.0
    assert ActivationBoundaries()(student, teacher).item() == 2.0  # the sum over the one valid position


def test_how_far_beyond_the_margin_does_not_matter():
    teacher = Feature(torch.randn(2, 3, 4))
    assert ActivationBoundaries()(Feature(7 * teacher.x.sign()), teacher).item() == 0.0


def test_a_margin_of_zero_is_refused():
    with pytest.raises(RecipeError, match="positive margin"):
        ActivationBoundaries(margin=0.0)
