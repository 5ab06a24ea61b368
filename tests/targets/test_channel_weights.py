import pytest
import torch
from torch import nn

from limbeck.context import Heads
from limbeck.errors import ShapeMismatch, TeacherError
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.planning import fitting
from limbeck.recipe import Part
from limbeck.targets import ChannelWeights

STUDENT = FeatureSpec("fc", "BC", 6)
LINK = Link(STUDENT, FeatureSpec("pool", "BC", 4, role="head"))


def fitted(head: nn.Linear, feature: Feature) -> ChannelWeights:
    target = ChannelWeights.for_link(LINK, Heads(teacher=head))
    target.fit([feature])
    return target


def test_squared_error_is_that_which_each_channel_causes_in_the_logits():
    head, feature = nn.Linear(4, 3), Feature(5 + torch.randn(64, 1, 4) * torch.tensor([1.0, 10.0, 0.1, 1.0]))
    target = fitted(head, feature)
    other = feature._replace(x=feature.x + torch.randn(64, 1, 4))
    found = (target(other).x - target(feature).x).square().sum(-1)
    error = other.x - feature.x
    logits = [(error[..., c : c + 1] * head.weight[:, c]).square().sum(-1) for c in range(4)]  # one channel at a time
    ratio = found / sum(logits)
    assert torch.allclose(ratio, ratio.mean().expand_as(ratio), rtol=1e-3)


def test_error_of_nothing_is_one():
    feature = Feature(5 + torch.randn(256, 1, 4) * torch.tensor([1.0, 10.0, 0.1, 1.0]))
    assert fitted(nn.Linear(4, 3), feature)(feature).x.square().mean().item() == pytest.approx(1.0, rel=1e-3)


def test_channel_that_the_head_does_not_read_asks_for_nothing():
    head = nn.Linear(4, 3)
    head.weight.data[:, 2] = 0.0
    feature = Feature(torch.randn(16, 1, 4))
    assert fitted(head, feature)(feature).x[..., 2].abs().max() == 0


def test_site_that_is_not_the_head_s_input_is_refused():
    with pytest.raises(ShapeMismatch, match=r"'layer2' \(block\)"):
        ChannelWeights.for_link(Link(STUDENT, FeatureSpec("layer2", "BC", 4)), Heads(teacher=nn.Linear(4, 3)))
    with pytest.raises(ShapeMismatch, match="5 channels. Found 4"):
        ChannelWeights.for_link(LINK, Heads(teacher=nn.Linear(5, 3)))


def test_without_a_head_it_is_refused_when_it_is_fitted():
    with pytest.raises(TeacherError, match="teacher's last linear layer"):
        ChannelWeights.for_link(LINK).fit([Feature(torch.randn(4, 1, 4))])


def test_plan_gives_it_the_teacher_s_head():
    head = nn.Linear(4, 3)
    (target,) = fitting.build_targets(LINK, [Part(kind="ChannelWeights")], Heads(teacher=head))
    assert torch.allclose(target.effect, head.weight.norm(dim=0))
    assert fitting.described(LINK, [Part(kind="ChannelWeights")])[0].teacher.channels == 4  # no head needed for that


def test_value_by_hand():
    link = Link(FeatureSpec("fc", "BC", 2), FeatureSpec("pool", "BC", 2, role="head"))
    head, feature = nn.Linear(2, 1), Feature(torch.tensor([[[1.0, 1.0]], [[-1.0, -1.0]]]))
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[1.0, 7.0]]))
    target = ChannelWeights.for_link(link, Heads(teacher=head))
    target.fit([feature])  # effects 1 and 7 on variances of 1: divided by the root of (1 + 49) / 2
    assert target(feature).x[0].flatten().tolist() == pytest.approx([0.2, 1.4])
