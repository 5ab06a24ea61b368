import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import AttentionTransfer


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0, 1.0], [0.0, 0.0]]]), (2,))
    teacher = Feature(torch.tensor([[[2.0], [2.0]]]), (2,))
    # Maps (1, 0) and (1, 1)/sqrt(2): ((1 - 0.7071)^2 + 0.7071^2) / 2.
    expected = ((1 - 0.5**0.5) ** 2 + 0.5) / 2
    assert AttentionTransfer()(student, teacher).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_value_by_loops(power):
    student, teacher = torch.randn(3, 6, 5), torch.randn(3, 6, 2)
    total = 0.0
    for s, t in zip(student.cpu().numpy(), teacher.cpu().numpy(), strict=True):
        maps = [np.array([np.mean(np.abs(position) ** power) for position in each]) for each in (s, t)]
        one, other = (each / np.sqrt((each**2).sum()) for each in maps)
        total += ((one - other) ** 2).sum()
    found = AttentionTransfer(power=power)(Feature(student, (2, 3)), Feature(teacher, (2, 3)))
    assert found.item() == pytest.approx(total / (3 * 6), rel=1e-5)  # the mean over samples and positions


def test_prefix_tokens_take_no_part():
    x = torch.randn(2, 5, 3)
    with_class_token = Feature(torch.cat([100 * torch.ones(2, 1, 3), x], 1), (5,), prefix=1)
    teacher = Feature(torch.randn(2, 5, 4), (5,))
    found, expected = (AttentionTransfer()(each, teacher).item() for each in (with_class_token, Feature(x, (5,))))
    assert found == pytest.approx(expected, rel=1e-6)  # the same patches


def test_scale_of_a_sample_does_not_matter():
    student, teacher = torch.randn(2, 5, 3), Feature(torch.randn(2, 5, 4), (5,))
    scaled = student * torch.tensor([2.0, 30.0]).view(2, 1, 1)
    found, expected = (AttentionTransfer()(Feature(x, (5,)), teacher).item() for x in (scaled, student))
    assert found == pytest.approx(expected, rel=1e-5)  # each map is divided by its own length


def test_single_position_is_refused_instead_of_giving_zero():
    feature = Feature(torch.randn(2, 1, 3), (1, 1))
    with pytest.raises(ShapeMismatch, match="at least 2 positions"):
        AttentionTransfer()(feature, feature)


def test_power_below_one_is_refused():
    with pytest.raises(RecipeError, match=r"0\.5"):
        AttentionTransfer(power=0.5)
