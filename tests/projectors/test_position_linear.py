import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.projectors import PositionLinear

VECTOR = FeatureSpec("fc", "BC", 6)
SMALL_MAP = FeatureSpec("layer4", "BCHW", 10, 4, (2, 2))


def test_every_position_has_a_matrix_of_its_own():
    projector = PositionLinear.for_link(Link(VECTOR, SMALL_MAP))
    x = torch.randn(3, 1, 6)
    out = projector(Feature(x))
    weights = projector.map.weight.reshape(4, 10, 6)
    for position in range(4):
        # W_n x, one position at a time; b_n starts at zero.
        assert torch.allclose(out.x[:, position], x[:, 0] @ weights[position].T, atol=1e-6)
    assert out.grid == (2, 2)


def test_every_matrix_starts_orthogonal_and_no_two_are_equal():
    weights = PositionLinear(6, 10, positions=3).map.weight.detach().reshape(3, 10, 6)
    for weight in weights:
        assert torch.allclose(weight.T @ weight, torch.eye(6), atol=1e-5)  # the definition
    assert (weights[0] - weights[1]).abs().max() > 0.1


def test_student_with_positions_gives_what_its_head_reads():
    projector = PositionLinear.for_link(Link(FeatureSpec("gru", "BNC", 6, 5, (5,), summary=-1), SMALL_MAP))
    x = torch.randn(2, 5, 6)
    out = projector(Feature(x, (5,), 0, None, -1))
    assert torch.equal(out.x, projector(Feature(x[:, -1:])).x)  # the last step alone


def test_more_positions_than_allowed_are_refused_with_both_numbers():
    nine = FeatureSpec("layer3", "BCHW", 10, 9, (3, 3))
    with pytest.raises(ShapeMismatch, match=r"4 positions at most\. Found 9"):
        PositionLinear.for_link(Link(VECTOR, nine))
    assert PositionLinear.for_link(Link(VECTOR, nine), most_positions=9).parameter_count == 9 * 7 * 10


@pytest.mark.parametrize("varies", ["student", "teacher"])
def test_variable_length_is_refused_with_the_reason(varies):
    text = FeatureSpec("layer.1", "BNC", 10, 4, (4,), variable=True)
    link = Link(text, SMALL_MAP) if varies == "student" else Link(VECTOR, text)
    with pytest.raises(ShapeMismatch, match="another part of the input"):
        PositionLinear.for_link(link)


def test_value_by_hand():
    projector = PositionLinear(1, 1, positions=2)
    with torch.no_grad():
        projector.map.weight.copy_(torch.tensor([[1.0], [2.0]]))
    assert projector(Feature(torch.tensor([[[3.0]]]))).x.tolist() == [[[3.0], [6.0]]]
