import pytest
import torch
import torch.nn.functional as F

from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.projectors import Conv, ConvBottleneck

MAP = FeatureSpec("stage2", "BCHW", 3, 16, (4, 4))
WIDE_MAP = FeatureSpec("layer3", "BCHW", 6, 16, (4, 4))
PATCHES = FeatureSpec("blocks.3", "BNC", 6, 17, (4, 4), prefix=1, summary=0)
VECTOR = FeatureSpec("fc", "BC", 6)


def as_map(feature: Feature) -> torch.Tensor:
    return feature.x.transpose(1, 2).unflatten(2, feature.grid)


def test_value_is_that_of_torch_s_convolution():
    projector = Conv.for_link(Link(MAP, WIDE_MAP))
    student = Feature(torch.randn(2, 16, 3), (4, 4))
    expected = F.conv2d(as_map(student), projector.weight, projector.bias, padding=1)
    assert torch.allclose(as_map(projector(student)), expected, atol=1e-5)


def test_value_by_hand_on_a_sequence():
    projector = Conv(1, 1, axes=1)
    with torch.no_grad():
        projector.weight.copy_(torch.tensor([[[1.0, 2.0, 3.0]]]))
    out = projector(Feature(torch.tensor([[[1.0], [10.0], [100.0]]]), (3,)))
    assert out.x.flatten().tolist() == [32.0, 321.0, 210.0]  # left, own and right, weighted 1, 2 and 3


def test_it_starts_with_the_variance_of_its_input():
    projector = Conv(64, 32, axes=1, kernel=5)
    out = projector(Feature(torch.randn(16, 50, 64), (50,))).x[:, 2:-2]
    assert abs(out.var().item() - 1) < 0.2


def test_padding_counts_as_zero():
    mask = torch.tensor([[True, True, False, False]])
    x = torch.randn(1, 4, 2)
    projector = Conv(2, 3, axes=1)
    padded = projector(Feature(x, (4,), 0, mask)).x[:, :2]
    short = projector(Feature(x[:, :2], (2,))).x
    assert torch.allclose(padded, short, atol=1e-6)


def test_bottleneck_is_that_of_torch_s_layers():
    projector = ConvBottleneck.for_link(Link(MAP, WIDE_MAP))
    student = Feature(torch.randn(4, 16, 3), (4, 4))
    norm = torch.nn.BatchNorm2d(3, affine=False)
    x = norm(F.conv2d(as_map(student), projector.narrow.weight[:, :, None, None])).relu()
    x = norm(F.conv2d(x, projector.around, padding=1)).relu()
    expected = F.conv2d(x, projector.widen.weight[:, :, None, None], projector.widen.bias)
    assert torch.allclose(as_map(projector(student)), expected, atol=1e-5)


def test_bottleneck_in_evaluation_has_the_running_averages_of_torch_s_layers():
    projector = ConvBottleneck.for_link(Link(MAP, WIDE_MAP))
    norms = [torch.nn.BatchNorm2d(3, affine=False) for _ in range(2)]

    def expected(student):
        x = norms[0](F.conv2d(as_map(student), projector.narrow.weight[:, :, None, None])).relu()
        x = norms[1](F.conv2d(x, projector.around, padding=1)).relu()
        return F.conv2d(x, projector.widen.weight[:, :, None, None], projector.widen.bias)

    for _ in range(5):
        student = Feature(3 * torch.randn(4, 16, 3) + 1, (4, 4))
        assert torch.allclose(as_map(projector(student)), expected(student), atol=1e-4)
    projector.eval(), [each.eval() for each in norms]
    one = Feature(torch.randn(1, 16, 3), (4, 4))
    assert torch.allclose(as_map(projector(one)), expected(one), atol=1e-4)


def test_bottleneck_of_a_padded_sequence_is_that_of_the_unpadded():
    projector = ConvBottleneck(2, 4, axes=1)
    torch.nn.init.constant_(projector.shift, 0.5)  # so that what stands at padding would not be zero by itself
    x = torch.randn(3, 6, 2)
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[:, 4:] = False
    padded = projector(Feature(torch.where(mask.unsqueeze(-1), x, 1e3), (6,), 0, mask)).x[:, :4]
    assert torch.allclose(padded, projector(Feature(x[:, :4], (4,))).x, atol=1e-5)


def test_bottleneck_s_scale_and_shift_act_before_the_relu():
    projector = ConvBottleneck(3, 4, axes=1)
    feature = Feature(torch.randn(4, 6, 3), (6,))
    with torch.no_grad():
        projector.scale.zero_()
        projector.shift.fill_(-1.0)
    assert torch.equal(projector(feature).x, projector.widen.bias.expand(4, 6, 4))  # nothing passes the last ReLU


@pytest.mark.parametrize("cls", [Conv, ConvBottleneck])
def test_target_without_a_grid_is_refused(cls):
    for teacher in (VECTOR, PATCHES):
        with pytest.raises(ShapeMismatch, match=f"{cls.__name__} convolves over a grid .* PoolGrid"):
            cls.for_link(Link(MAP, teacher))


def test_options_out_of_range_are_refused():
    with pytest.raises(RecipeError, match="kernel=2"):
        Conv(3, 6, axes=2, kernel=2)
    with pytest.raises(RecipeError, match="factor=7"):
        ConvBottleneck(3, 6, axes=2, factor=7)
