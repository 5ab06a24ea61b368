import math

import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.losses import OFD


def test_value_by_hand():
    loss = OFD(1)
    loss.margin.fill_(-1.0)
    loss.eval()
    pairs = [(-3.0, -2.0), (0.5, -2.0), (-0.2, -0.5), (-0.7, -0.5), (1.0, 3.0), (-1.0, 3.0)]  # student, teacher
    expected = [0.0, 1.5**2, 0.3**2, 0.0, 2.0**2, 4.0**2]  # below the margin the target is -1
    for (student, teacher), value in zip(pairs, expected, strict=True):
        found = loss(Feature(torch.tensor([[[student]]])), Feature(torch.tensor([[[teacher]]])))
        assert found.item() == pytest.approx(value, abs=1e-6)


def test_value_by_the_cases_of_the_paper():
    loss = OFD(3)
    student, teacher = Feature(torch.randn(4, 5, 3)), Feature(torch.randn(4, 5, 3))
    found = loss(student, teacher).item()
    total = 0.0
    for c in range(3):
        values = teacher.x[..., c].flatten()
        margin = values[values < 0].mean().item()
        for s, t in zip(student.x[..., c].flatten().tolist(), values.tolist(), strict=True):
            total += (s - margin) ** 2 * (s > margin and t <= margin)
            total += (s - t) ** 2 * (s > t and margin < t <= 0)
            total += (s - t) ** 2 * (t > 0)
    assert found == pytest.approx(total / 4, rel=1e-5)


def test_margins_of_normal_values_are_those_of_the_paper():
    loss = OFD(2)
    for _ in range(20):
        teacher = Feature(torch.randn(500, 4, 2) * torch.tensor([1.0, 2.0]))
        loss(teacher, teacher)
    # E[x | x < 0] of a normal distribution with mean 0 is minus its deviation times the root of 2 / pi.
    assert loss.margin.tolist() == pytest.approx([-math.sqrt(2 / math.pi), -2 * math.sqrt(2 / math.pi)], rel=0.02)


def test_margins_are_taken_over_the_first_batches_and_then_stay():
    loss = OFD(1, batches=2)
    for value in (-1.0, -3.0, -100.0):
        feature = Feature(torch.full((2, 1, 1), value))
        loss(feature, feature)
    assert loss.margin.item() == -2.0


def test_margins_do_not_move_in_evaluation():
    loss = OFD(1).eval()
    loss(Feature(-torch.ones(2, 1, 1)), Feature(-torch.ones(2, 1, 1)))
    assert loss.margin.item() == 0.0
    assert loss.seen.item() == 0


def test_margins_leave_padding_out():
    loss = OFD(1)
    teacher = Feature(torch.tensor([[[-1.0], [-9.0]]]), mask=torch.tensor([[True, False]]))
    loss(Feature(torch.zeros(1, 2, 1)), teacher)
    assert loss.margin.item() == -1.0


def test_margins_are_saved():
    loss, again = OFD(2), OFD(2)
    loss(Feature(torch.zeros(3, 1, 2)), Feature(torch.randn(3, 1, 2)))
    again.load_state_dict(loss.state_dict())
    assert torch.equal(again.margin, loss.margin)


def test_a_feature_behind_a_relu_has_margins_of_zero():
    loss = OFD(1)
    value = loss(Feature(torch.full((1, 1, 1), -4.0)), Feature(torch.zeros(1, 1, 1)))
    assert loss.margin.item() == 0.0
    assert value.item() == 0.0  # below a target that is not positive


def test_no_batch_is_refused():
    with pytest.raises(RecipeError, match="at least 1 batch"):
        OFD(2, batches=0)
