import pytest
import torch
from torch import nn

from limbeck.context import Heads
from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MGD


def map_pair() -> tuple[Feature, Feature]:
    student, teacher = (Feature(torch.randn(2, 12, 3), (3, 4)) for _ in range(2))
    return student, teacher


def as_image(feature: Feature) -> torch.Tensor:
    return feature.x.transpose(1, 2).reshape(len(feature.x), -1, *feature.grid)


def test_value_by_hand():
    loss = MGD(1, axes=1, hidden_channels=0.0)
    for convolution in (loss.first, loss.second):
        nn.init.zeros_(convolution.weight)
        nn.init.zeros_(convolution.bias)
        nn.init.ones_(convolution.weight[:, :, 1])  # the position itself
    student = Feature(torch.tensor([[[2.0], [-5.0]]]), (2,))
    teacher = Feature(torch.tensor([[[3.0], [1.0]]]), (2,))
    assert loss(student, teacher).item() == 2.0  # ReLU gives 2 and 0: 1 + 1, a sum


def test_value_by_torch_modules_on_the_map():
    student, teacher = map_pair()
    loss = MGD(3, hidden_channels=0.0)
    generated = nn.Sequential(loss.first, nn.ReLU(), loss.second)(as_image(student))
    expected = (generated - as_image(teacher)).square().sum() / 2  # the paper's formula, over the batch of 2
    assert loss(student, teacher).item() == pytest.approx(expected.item(), rel=1e-5)


def test_mean_is_the_sum_over_positions_and_channels():
    student, teacher = map_pair()
    total = MGD(3, hidden_channels=0.0)
    mean = MGD(3, hidden_channels=0.0, mean=True)
    mean.load_state_dict(total.state_dict())
    assert total(student, teacher).item() == pytest.approx(36 * mean(student, teacher).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"hidden_channels": 0.5}, (400, 1, 3)),
        ({"hidden_channels": 0.0, "hidden_positions": 0.5}, (400, 12, 1)),
    ],
)
def test_training_hides_whole_channels_or_whole_positions_of_a_sample(options, shape):
    student = torch.ones(400, 12, 3, requires_grad=True)
    loss = MGD(3, **options)
    loss(Feature(student, (3, 4)), Feature(torch.randn(400, 12, 3), (3, 4))).backward()
    hidden = student.grad == 0
    # A hidden value has no gradient, and it has none wherever its channel (or position) is hidden.
    whole = hidden.all(1, keepdim=True) if shape[1] == 1 else hidden.all(2, keepdim=True)
    assert whole.shape == shape
    assert whole.float().mean().item() == pytest.approx(0.5, abs=0.06)


def test_evaluation_hides_nothing():
    student, teacher = map_pair()
    loss = MGD(3, hidden_channels=0.9).eval()
    assert loss(student, teacher).item() == loss(student, teacher).item()


def test_padding_does_not_reach_the_convolutions():
    loss = MGD(3, axes=1, hidden_channels=0.0)
    student, teacher = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    padded = [torch.cat([each, torch.randn(2, 3, 3)], 1) for each in (student, teacher)]
    mask = (torch.arange(7) < 4).expand(2, -1)
    short = loss(Feature(student, (4,)), Feature(teacher, (4,)))
    long = loss(Feature(padded[0], (7,), mask=mask), Feature(padded[1], (7,), mask=mask))
    assert long.item() == pytest.approx(short.item(), rel=1e-5)  # as if the padding were the end of the sequence


def test_prefix_tokens_do_not_take_part():
    student, teacher = map_pair()
    loss = MGD(3, hidden_channels=0.0)
    longer = [Feature(torch.cat([torch.randn(2, 1, 3), each.x], 1), (3, 4), prefix=1) for each in (student, teacher)]
    assert loss(*longer).item() == pytest.approx(loss(student, teacher).item(), rel=1e-6)


def test_axes_come_from_the_link():
    link = Link(FeatureSpec("a", "BNC", 8, 9, (9,)), FeatureSpec("b", "BNC", 16, 9, (9,)))
    assert MGD.for_link(link, Heads()).first.weight.shape == (16, 16, 3)


def test_a_vector_is_refused_when_it_is_built():
    with pytest.raises(ShapeMismatch, match="'b', which gives a vector"):
        MGD.for_link(Link(FeatureSpec("a", "BC", 8), FeatureSpec("b", "BC", 8)), Heads())


def test_another_number_of_axes_is_refused():
    with pytest.raises(ShapeMismatch, match="over 2 axes"):
        MGD(3)(Feature(torch.ones(1, 4, 3), (4,)), Feature(torch.ones(1, 4, 3), (4,)))


def test_hiding_everything_is_refused():
    with pytest.raises(RecipeError, match="hidden_channels=1"):
        MGD(3, hidden_channels=1.0)
