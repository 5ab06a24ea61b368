import pytest
import torch
import torch.nn.functional as F

from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.projectors import MLP

LINK = Link(FeatureSpec("fc", "BC", 6), FeatureSpec("pool", "BC", 10))


def test_value_is_that_of_the_formula():
    projector = MLP(2, 3, hidden=4)
    x = torch.randn(5, 1, 2)
    hidden = x @ projector.first.weight.T + projector.first.bias
    hidden = (hidden - hidden.mean(-1, keepdim=True)) / (hidden.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    expected = F.gelu(hidden) @ projector.second.weight.T + projector.second.bias  # scale 1 and shift 0 at the start
    assert torch.allclose(projector(Feature(x)).x, expected, atol=1e-5)


def test_hidden_layer_is_as_wide_as_the_target_unless_said():
    assert MLP.for_link(LINK).first.out_features == 10
    assert MLP.for_link(LINK, hidden=32).first.out_features == 32


def test_value_by_hand():
    projector = MLP(1, 1, hidden=2)
    with torch.no_grad():
        projector.first.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        projector.second.weight.fill_(1.0)
        projector.first.bias.zero_()
        projector.second.bias.zero_()
    # (3, -3) normalised is (1, -1); GELU makes 0.8413 and -0.1587 of it.
    assert projector(Feature(torch.tensor([[[3.0]]]))).x.item() == pytest.approx(0.6827, abs=1e-4)
