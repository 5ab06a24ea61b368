import math

import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.losses import LogCorrelation


def test_value_by_hand():
    teacher = Feature(torch.tensor([[[1.0, 1.0]], [[-1.0, -1.0]]]))
    student = Feature(torch.tensor([[[5.0, -5.0]], [[-5.0, 5.0]]]))
    # Correlations 1 and -1: log(0 + 2^4).
    assert LogCorrelation()(student, teacher).item() == pytest.approx(math.log(16), rel=1e-4)


@pytest.mark.parametrize("power", [2.0, 4.0])
def test_value_by_numpy(power):
    student, teacher = torch.randn(6, 3, 5), torch.randn(6, 3, 5)
    rows = [each.flatten(0, 1).cpu().numpy() for each in (student, teacher)]
    correlations = [np.corrcoef(rows[0][:, c], rows[1][:, c])[0, 1] for c in range(5)]
    expected = math.log(sum(abs(each - 1) ** power for each in correlations) + 1e-5)
    found = LogCorrelation(power=power)(Feature(student), Feature(teacher))
    assert found.item() == pytest.approx(expected, rel=1e-3)


def test_scale_and_shift_of_channels_do_not_matter():
    student, teacher = torch.randn(8, 1, 3), Feature(torch.randn(8, 1, 3))
    moved = student * torch.tensor([2.0, 30.0, 5.0]) - 4
    found, expected = (LogCorrelation()(Feature(x), teacher).item() for x in (moved, student))
    assert found == pytest.approx(expected, rel=1e-3)


def test_dead_channel_counts_as_uncorrelated():
    teacher = Feature(torch.tensor([[[1.0, 1.0]], [[-1.0, 1.0]]]))
    assert LogCorrelation()(teacher, teacher).item() == pytest.approx(0.0, abs=1e-3)  # log of 0 + 1


def test_power_below_one_is_refused():
    with pytest.raises(RecipeError, match="at least 1"):
        LogCorrelation(power=0.5)
