import pytest
import torch
import torch.nn.functional as F

from limbeck.context import Heads
from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import HCL, MSE


def test_value_by_hand():
    student = Feature(torch.tensor([[[1.0], [2.0], [3.0], [6.0]]]), (2, 2))
    # Of the levels 4, 2, 1 only 1 is smaller: squares (1 + 4 + 9 + 36) / 4, mean 3 squared; (12.5 + 9 / 2) / 1.5.
    assert HCL()(student, Feature(torch.zeros(1, 4, 1), (2, 2))).item() == pytest.approx(34 / 3, rel=1e-6)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 8])
def test_value_by_pooling_images(side):
    student, teacher = torch.randn(3, 5, side, side), torch.randn(3, 5, side, side)
    value, weight, total = F.mse_loss(student, teacher), 1.0, 1.0
    for level in (4, 2, 1):  # the rule of the official code
        if level >= side:
            continue
        weight /= 2
        value += weight * F.mse_loss(F.adaptive_avg_pool2d(student, level), F.adaptive_avg_pool2d(teacher, level))
        total += weight
    found = HCL()(*(Feature(each.flatten(2).transpose(1, 2), (side, side)) for each in (student, teacher)))
    assert found.item() == pytest.approx((value / total).item(), rel=1e-5)


def test_on_one_position_it_is_the_mean_squared_error():
    student, teacher = Feature(torch.randn(4, 1, 3), (1, 1)), Feature(torch.randn(4, 1, 3), (1, 1))
    assert HCL()(student, teacher).item() == pytest.approx(MSE()(student, teacher).item(), rel=1e-6)


def test_padding_does_not_change_the_value():
    student, teacher = torch.randn(2, 6, 3), torch.randn(2, 6, 3)
    padded = [torch.cat([each, torch.randn(2, 5, 3)], 1) for each in (student, teacher)]
    mask = (torch.arange(11) < 6).expand(2, -1)
    short = HCL()(Feature(student, (6,)), Feature(teacher, (6,)))
    long = HCL()(Feature(padded[0], (11,), mask=mask), Feature(padded[1], (11,), mask=mask))
    assert long.item() == pytest.approx(short.item(), rel=1e-5)


def test_a_sample_without_valid_positions_does_not_count():
    student, teacher = torch.randn(2, 6, 3), torch.randn(2, 6, 3)
    mask = torch.tensor([[True] * 6, [False] * 6])
    both = HCL()(Feature(student, (6,), mask=mask), Feature(teacher, (6,)))
    first = HCL()(Feature(student[:1], (6,)), Feature(teacher[:1], (6,)))
    assert both.item() == pytest.approx(first.item(), rel=1e-5)


def test_a_grid_that_is_not_square_is_pooled_along_the_axes_that_are_longer():
    student = torch.randn(2, 2 * 8, 3)
    image = student.transpose(1, 2).reshape(2, 3, 2, 8)
    parts = [F.adaptive_avg_pool2d(image, size).square().mean() for size in ((2, 8), (2, 4), (2, 2), (1, 1))]
    expected = sum(part / 2**k for k, part in enumerate(parts)) / 1.875  # 1 + 1/2 + 1/4 + 1/8
    found = HCL()(Feature(student, (2, 8)), Feature(torch.zeros_like(student), (2, 8)))
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_link_of_vectors_is_refused_when_it_is_built():
    with pytest.raises(ShapeMismatch, match="'b', which gives a vector"):
        HCL.for_link(Link(FeatureSpec("a", "BC", 8), FeatureSpec("b", "BC", 8)), Heads())


def test_vectors_are_refused():
    with pytest.raises(ShapeMismatch, match="one grid"):
        HCL()(Feature(torch.ones(2, 1, 3)), Feature(torch.ones(2, 1, 3)))
