import pytest
import torch
import torch.nn.functional as F

from limbeck.associations import ReviewFusion
from limbeck.balancers import Fixed
from limbeck.distiller import Distiller, Term
from limbeck.distiller.term_group import TermGroup
from limbeck.errors import PlanMismatch, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import HCL

SHALLOW = FeatureSpec("layer1", "BCHW", 4, 64, (8, 8), depth=0.5)
DEEP = FeatureSpec("layer2", "BCHW", 6, 16, (4, 4), depth=1.0)
VECTOR = FeatureSpec("pool", "BC", 7, depth=1.0)


def tokens(image):
    return image.flatten(2).transpose(1, 2)


def test_value_by_convolutions_written_out():
    fusion = ReviewFusion.for_links([Link(SHALLOW, SHALLOW), Link(DEEP, DEEP)], width=5).eval()
    maps = torch.randn(2, 4, 8, 8), torch.randn(2, 6, 4, 4)
    found = fusion.fuse([Feature(tokens(maps[0]), (8, 8)), Feature(tokens(maps[1]), (4, 4))])

    def normed(block, image):
        convolution, norm = block
        out = F.conv2d(image, convolution.weight, padding=convolution.padding)
        return out / (1 + norm.eps) ** 0.5  # running mean 0 and variance 1

    deep = normed(fusion.enter[1], maps[1])
    x, y = normed(fusion.enter[0], maps[0]), deep.repeat_interleave(2, 2).repeat_interleave(2, 3)
    a, b = torch.sigmoid(fusion.gates[0](torch.cat([x, y], 1))).unbind(1)
    shallow = a.unsqueeze(1) * x + b.unsqueeze(1) * y
    torch.testing.assert_close(found[0].x, tokens(normed(fusion.leave[0], shallow)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1].x, tokens(normed(fusion.leave[1], deep)), rtol=1e-4, atol=1e-5)


def test_the_shallow_link_teaches_the_deep_student_site():
    fusion = ReviewFusion.for_links([Link(SHALLOW, SHALLOW), Link(DEEP, DEEP)])
    deep = torch.randn(2, 16, 6, requires_grad=True)
    fusion.fuse([Feature(torch.randn(2, 64, 4), (8, 8)), Feature(deep, (4, 4))])[0].x.square().sum().backward()
    assert deep.grad.abs().sum() > 0


def test_a_vector_is_a_map_of_one_position():
    fusion = ReviewFusion.for_links([Link(SHALLOW, SHALLOW), Link(VECTOR, VECTOR)])
    fused = fusion.fuse([Feature(torch.randn(2, 64, 4), (8, 8)), Feature(torch.randn(2, 1, 7))])
    assert [tuple(each.x.shape) for each in fused] == [(2, 64, 4), (2, 1, 7)]


def test_two_links_of_one_student_site_are_refused():
    with pytest.raises(PlanMismatch, match="SameDepth"):
        ReviewFusion.for_links([Link(SHALLOW, SHALLOW), Link(SHALLOW, DEEP)])


def test_a_single_sample_is_refused_with_the_reason_before_and_in_a_step():
    links = [Link(SHALLOW, SHALLOW), Link(VECTOR, VECTOR)]
    group = TermGroup([Term(link, loss=HCL()) for link in links], ReviewFusion.for_links(links))
    student = torch.nn.ModuleDict({"layer1": torch.nn.Identity(), "pool": torch.nn.Identity()})
    assert Distiller(student, terms=[group], balancer=Fixed(["feature"])).minimum_batch == 2
    features = {"layer1": Feature(torch.randn(1, 64, 4), (8, 8)), "pool": Feature(torch.randn(1, 1, 7))}
    with pytest.raises(ShapeMismatch, match="ReviewFusion needs at least 2 samples in a batch. Found 1"):
        group(features, features)
