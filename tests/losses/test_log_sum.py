import math

import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.losses import LogSum


def test_value_by_hand():
    teacher = Feature(torch.tensor([[[1.0]], [[-1.0]]]))
    student = Feature(torch.tensor([[[-7.0]], [[7.0]]]))
    assert LogSum()(student, teacher).item() == pytest.approx(math.log(2 * 2**4), rel=1e-4)  # twice -1 against 1


@pytest.mark.parametrize("power", [2.0, 4.0])
def test_value_by_numpy(power):
    student, teacher = torch.randn(6, 3, 5), torch.randn(6, 3, 5)
    rows = [each.flatten(0, 1).cpu().numpy() for each in (student, teacher)]
    rows = [(each - each.mean(0)) / (each.var(0) + 1e-5) ** 0.5 for each in rows]
    expected = math.log((abs(rows[0] - rows[1]) ** power).sum() + 1e-5)  # the formula of the paper
    found = LogSum(power=power)(Feature(student), Feature(teacher))
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_scale_and_shift_of_channels_do_not_matter():
    student, teacher = torch.randn(8, 1, 3), Feature(torch.randn(8, 1, 3))
    moved = student * torch.tensor([2.0, 30.0, 5.0]) - 4
    found, expected = (LogSum()(Feature(x), teacher).item() for x in (moved, student))
    assert found == pytest.approx(expected, rel=1e-3)


def test_equal_features_give_the_logarithm_of_epsilon():
    feature = Feature(torch.randn(4, 1, 3))
    assert LogSum()(feature, feature).item() == pytest.approx(math.log(1e-5), rel=1e-4)


def test_power_below_one_is_refused():
    with pytest.raises(RecipeError, match="at least 1"):
        LogSum(power=0.5)
