import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.projectors import Linear

MAP = FeatureSpec("stage2", "BCHW", 6, 16, (4, 4))
SMALL_MAP = FeatureSpec("layer4", "BCHW", 10, 4, (2, 2))
VECTOR = FeatureSpec("fc", "BC", 6)


def test_value_is_the_matrix_at_every_pooled_position():
    projector = Linear.for_link(Link(MAP, SMALL_MAP))
    x = torch.randn(2, 16, 6)
    out = projector(Feature(x, (4, 4)))
    corner = (x[:, 0] + x[:, 1] + x[:, 4] + x[:, 5]) / 4  # the first 2 x 2 block of a 4 x 4 grid
    weight, bias = projector.map.weight, projector.map.bias
    assert torch.allclose(out.x[:, 0], corner @ weight.T + bias, atol=1e-6)


@pytest.mark.parametrize(("student", "teacher"), [(6, 10), (10, 6), (8, 8)])
def test_it_starts_orthogonal(student, teacher):
    projector = Linear(student, teacher)
    weight = projector.map.weight.detach()
    small = weight.T @ weight if student <= teacher else weight @ weight.T
    assert torch.allclose(small, torch.eye(min(student, teacher)), atol=1e-5)  # the definition
    assert projector.map.bias.abs().sum() == 0


def test_bias_is_an_option():
    projector = Linear.for_link(Link(VECTOR, FeatureSpec("pool", "BC", 10)), bias=False)
    assert projector.map.bias is None
    assert projector.parameter_count == 60  # 6 * 10


def test_token_that_the_head_reads_meets_a_vector():
    patches = FeatureSpec("blocks.3", "BNC", 6, 17, (4, 4), prefix=1, summary=0)
    projector = Linear.for_link(Link(patches, FeatureSpec("pool", "BC", 10)))
    x = torch.randn(2, 17, 6)
    out = projector(Feature(x, (4, 4), 1, None, 0))
    assert torch.allclose(out.x[:, 0], projector.map(x[:, 0]), atol=1e-6)  # the class token, projected
    assert (out.grid, out.prefix) == (None, 0)


def test_vector_against_a_grid_is_refused_and_position_linear_named():
    with pytest.raises(ShapeMismatch, match="PositionLinear"):
        Linear.for_link(Link(VECTOR, SMALL_MAP))


def test_vector_meets_a_grid_of_one_position():
    target = FeatureSpec("layer4", "BCHW", 10, 1, (1, 1))
    out = Linear.for_link(Link(VECTOR, target))(Feature(torch.ones(2, 1, 6)))
    assert (out.x.shape, out.grid) == ((2, 1, 10), (1, 1))


def test_student_in_half_precision_meets_a_projector_in_full():
    projector = Linear.for_link(Link(MAP, SMALL_MAP))
    out = projector(Feature(torch.ones(2, 16, 6, dtype=torch.bfloat16), (4, 4)))
    assert out.x.dtype == projector.map.weight.dtype


def test_value_by_hand():
    projector = Linear(1, 1)
    with torch.no_grad():
        projector.map.weight.fill_(2.0)
        projector.map.bias.fill_(1.0)
    assert projector(Feature(torch.tensor([[[3.0]]]))).x.item() == 7.0  # 2 * 3 + 1
