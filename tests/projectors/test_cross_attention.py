import math

import pytest
import torch

from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.projectors import CrossAttention

SEQUENCE = FeatureSpec("conv3", "BCL", 4, 6, (6,))
PATCHES = FeatureSpec("blocks.3", "BNC", 5, 10, (3, 3), prefix=1, summary=0)
VECTOR = FeatureSpec("fc", "BC", 4)
TEXT = FeatureSpec("layer.1", "BNC", 4, 6, (6,), variable=True)


def test_value_is_that_of_a_loop_over_heads_and_positions():
    projector = CrossAttention.for_link(Link(SEQUENCE, PATCHES), heads=2, head_channels=3)
    x = torch.randn(2, 6, 4)
    z = torch.nn.functional.layer_norm(x, (4,)) + projector.place  # scale 1 and shift 0 at the start
    key, value = z @ projector.key.weight.T, z @ projector.value.weight.T
    out = torch.zeros(2, 10, 6)
    for head in range(2):
        part = slice(3 * head, 3 * head + 3)
        for n in range(10):
            weight = torch.softmax(key[..., part] @ projector.query[head, n] / 3**0.5, 1)
            out[:, n, part] = (weight.unsqueeze(-1) * value[..., part]).sum(1)
    expected = out @ projector.out.weight.T + projector.out.bias
    found = projector(Feature(x, (6,)))
    assert torch.allclose(found.x, expected, atol=1e-5)
    assert (found.grid, found.prefix) == ((3, 3), 1)


def test_padding_does_not_change_what_is_gathered():
    projector = CrossAttention.for_link(Link(TEXT, PATCHES))
    x = torch.randn(2, 6, 4)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[:, 4:] = False
    padded = projector(Feature(torch.where(mask.unsqueeze(-1), x, 1e4), (6,), 0, mask))
    assert torch.allclose(padded.x, projector(Feature(x[:, :4], (4,))).x, atol=1e-5)
    assert padded.mask.all()


def test_sample_without_a_valid_position_is_not_valid_and_finite():
    projector = CrossAttention.for_link(Link(TEXT, PATCHES))
    mask = torch.tensor([[True, False], [False, False]])
    out = projector(Feature(torch.randn(2, 2, 4), (2,), 0, mask))
    assert torch.isfinite(out.x).all()
    assert out.mask.all(1).tolist() == [True, False]


def test_it_learns_which_position_goes_where():
    sequence = FeatureSpec("a", "BCL", 4, 4, (4,))
    projector = CrossAttention.for_link(Link(sequence, sequence), heads=2, head_channels=16)
    optimizer = torch.optim.Adam(projector.parameters(), lr=0.02)
    order = torch.tensor([2, 0, 3, 1])
    for _ in range(120):
        x = torch.nn.functional.layer_norm(torch.randn(64, 4, 4), (4,))
        loss = (projector(Feature(x, (4,))).x - x[:, order]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3  # 1 if nothing is found


def test_what_cannot_be_joined_is_refused():
    with pytest.raises(ShapeMismatch, match="Use PositionLinear"):
        CrossAttention.for_link(Link(VECTOR, PATCHES))
    with pytest.raises(ShapeMismatch, match="a length that changes"):
        CrossAttention.for_link(Link(SEQUENCE, TEXT))
    with pytest.raises(ShapeMismatch, match="built for 6 positions .* Found 5"):
        CrossAttention.for_link(Link(SEQUENCE, PATCHES))(Feature(torch.ones(1, 5, 4), (5,)))
    with pytest.raises(RecipeError, match="heads=0"):
        CrossAttention.for_link(Link(SEQUENCE, PATCHES), heads=0)


def test_value_by_hand():
    projector = CrossAttention(2, 1, student_positions=None, positions=1, heads=1, head_channels=1)
    with torch.no_grad():
        projector.query.fill_(math.log(3) / 2)
        projector.key.weight.copy_(torch.tensor([[1.0, 0.0]]))
        projector.value.weight.copy_(torch.tensor([[1.0, 0.0]]))
        projector.out.weight.fill_(2.0)
        projector.out.bias.zero_()
    # Keys 1 and -1 get 3/4 and 1/4 of the attention, and values 1 and -1 give 1/2 of it.
    out = projector(Feature(torch.tensor([[[1.0, -1.0], [-1.0, 1.0]]]), (2,)))
    assert out.x.item() == pytest.approx(1.0, abs=1e-4)
