import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.projectors import Ensemble


@pytest.mark.parametrize("relu", [True, False])
def test_value_is_the_mean_over_members_in_a_loop(relu):
    projector = Ensemble(4, 5, members=3, relu=relu)
    torch.nn.init.normal_(projector.map.bias)
    x = torch.randn(6, 2, 4)
    weights, biases = projector.map.weight.chunk(3), projector.map.bias.chunk(3)
    parts = [x @ weight.T + bias for weight, bias in zip(weights, biases, strict=True)]
    expected = sum(part.clamp_min(0.0) if relu else part for part in parts) / 3
    assert torch.allclose(projector(Feature(x, (2,))).x, expected, atol=1e-6)


def test_members_start_orthogonal_and_different():
    first, second = Ensemble(4, 5, members=2).map.weight.detach().chunk(2)
    for weight in (first, second):
        assert torch.allclose(weight.T @ weight, torch.eye(4), atol=1e-5)  # the definition
    assert not torch.allclose(first, second, atol=0.1)


def test_without_relu_it_can_be_negative():
    x = Feature(torch.randn(32, 1, 4))
    assert Ensemble(4, 5)(x).x.min() >= 0
    assert Ensemble(4, 5, relu=False)(x).x.min() < 0


def test_no_members_are_refused():
    with pytest.raises(RecipeError, match="at least 1 member"):
        Ensemble(4, 5, members=0)


def test_value_by_hand():
    projector = Ensemble(1, 1, members=2)
    with torch.no_grad():
        projector.map.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    assert projector(Feature(torch.tensor([[[3.0]]]))).x.item() == 1.5  # (3 + 0) / 2
