import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from limbeck.context import Heads
from limbeck.errors import PlanMismatch, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import CATKD

LINK = Link(FeatureSpec("a", "BCHW", 4, 36, (6, 6)), FeatureSpec("b", "BCHW", 5, 16, (4, 4)))


def built(**options) -> tuple[CATKD, nn.Linear, nn.Linear]:
    mine, theirs = nn.Linear(4, 3), nn.Linear(5, 3)
    return CATKD.for_link(LINK, Heads(mine, theirs), **options), mine, theirs


def as_feature(image: torch.Tensor) -> Feature:
    return Feature(image.flatten(2).transpose(1, 2), tuple(image.shape[2:]))


def test_value_by_hand():
    mine, theirs = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.ones_(mine.weight)
    nn.init.constant_(theirs.weight, 2.0)
    one = FeatureSpec("a", "BCL", 1, 2, (2,))
    loss = CATKD.for_link(Link(one, one), Heads(mine, theirs))
    student = Feature(torch.tensor([[[3.0], [4.0]]]), (2,))
    teacher = Feature(torch.tensor([[[5.0], [0.0]]]), (2,))
    # Maps (0.6, 0.8) and (1, 0): (0.16 + 0.64) / 2. Biases do not count.
    assert loss(student, teacher).item() == pytest.approx(0.4, rel=1e-6)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("side", [2, 4])
def test_value_by_heads_turned_into_convolutions(side, normalise):
    loss, mine, theirs = built(side=side, normalise=normalise)
    student, teacher = torch.randn(2, 4, 6, 6), torch.randn(2, 5, 4, 4)
    maps = []
    for image, head in ((student, mine), (teacher, theirs)):
        activation = F.conv2d(image, head.weight[:, :, None, None])  # the classifier before pooling: paper
        pooled = F.adaptive_avg_pool2d(activation, side)
        maps.append(F.normalize(pooled, dim=(2, 3)) if normalise else pooled)
    expected = F.mse_loss(*maps)
    assert loss(as_feature(student), as_feature(teacher)).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_students_head_learns_and_is_not_owned():
    loss, mine, _ = built()
    assert not list(loss.parameters())
    assert not [name for name in loss.state_dict() if "student" in name]
    loss(as_feature(torch.randn(2, 4, 6, 6)), as_feature(torch.randn(2, 5, 4, 4))).backward()
    assert mine.weight.grad.abs().sum() > 0


def test_the_students_head_is_read_as_it_is_at_the_moment():
    loss, mine, _ = built()
    student, teacher = as_feature(torch.randn(2, 4, 6, 6)), as_feature(torch.randn(2, 5, 4, 4))
    before = loss(student, teacher).item()
    nn.init.normal_(mine.weight)
    assert loss(student, teacher).item() != before


def test_a_copy_of_student_and_loss_together_stays_together():
    loss, mine, _ = built()
    again, head = copy.deepcopy((loss, mine))
    again(as_feature(torch.randn(2, 4, 6, 6)), as_feature(torch.randn(2, 5, 4, 4))).backward()
    assert head.weight.grad is not None
    assert mine.weight.grad is None


def test_heads_of_other_classes_are_refused():
    with pytest.raises(PlanMismatch, match="a head of 3 of the student and 7 of the teacher"):
        CATKD.for_link(LINK, Heads(nn.Linear(4, 3), nn.Linear(5, 7)))


def test_a_missing_head_is_refused():
    with pytest.raises(PlanMismatch, match="the student's last linear layer"):
        CATKD.for_link(LINK, Heads(None, nn.Linear(5, 7)))


def test_pooled_vectors_are_refused():
    loss, _, _ = built()
    with pytest.raises(ShapeMismatch, match="at least 2 positions"):
        loss(Feature(torch.ones(2, 1, 4)), Feature(torch.ones(2, 1, 5)))
