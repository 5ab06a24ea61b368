import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.targets import PoolGrid

VECTOR = FeatureSpec("fc", "BC", 6)


def spec(*grid: int, prefix: int = 0, variable: bool = False) -> FeatureSpec:
    positions = prefix + int(torch.tensor(grid, device="cpu").prod())
    return FeatureSpec("site", "BNC", 6, positions, grid, prefix=prefix, variable=variable)


@pytest.mark.parametrize(
    ("student", "teacher", "common"),
    [
        (spec(14, 14), spec(7, 7), (7, 7)),  # the smaller of the two
        (spec(7, 7), spec(14, 14, prefix=1), (7, 7)),
        (spec(4, 9), spec(6, 6), (4, 6)),  # along each axis by itself
        (spec(20), spec(8), (8,)),
        (VECTOR, spec(7, 7), (2, 2)),  # four positions, as square as can be
        (VECTOR, spec(50), (4,)),
        (VECTOR, spec(1, 9), (1, 4)),
        (VECTOR, spec(3), (3,)),  # no more than the teacher has
        (VECTOR, spec(4, 4, 4), (2, 2, 1)),
        (FeatureSpec("pooled_map", "BCHW", 6, 1, (1, 1)), spec(7, 7), (2, 2)),  # one position is as good as none
    ],
)
def test_common_grid_is_the_smaller_along_each_axis(student, teacher, common):
    assert PoolGrid.for_link(Link(student, teacher)).grid == common


def test_number_of_positions_for_a_vector_is_an_option():
    assert PoolGrid.for_link(Link(VECTOR, spec(7, 7)), most_positions=9).grid == (3, 3)
    assert PoolGrid.for_link(Link(VECTOR, spec(7, 7)), most_positions=6).grid == (3, 2)


def test_grid_can_be_named():
    assert PoolGrid.for_link(Link(VECTOR, spec(8)), grid=(2,)).grid == (2,)


def test_value_by_hand_without_the_class_token():
    x = torch.tensor([[[100.0], [1.0], [2.0], [3.0], [6.0]]])
    out = PoolGrid(grid=(1, 1))(Feature(x, (2, 2), prefix=1, summary=0))
    assert out.x.item() == 3.0  # (1 + 2 + 3 + 6) / 4
    assert (out.grid, out.prefix, out.summary) == ((1, 1), 0, None)


def test_description_fits_what_comes_out():
    described = PoolGrid(grid=(2, 3)).describe(spec(14, 14, prefix=1))
    assert (described.positions, described.grid, described.prefix, described.variable) == (6, (2, 3), 0, False)


def test_padded_text_of_any_length_is_pooled_to_a_fixed_one():
    mask = torch.tensor([[True, True, True, False]])
    out = PoolGrid(grid=(3,))(Feature(torch.tensor([[[1.0], [2.0], [3.0], [9.0]]]), (4,), 0, mask))
    assert out.x.flatten().tolist() == [1.0, 2.0, 3.0]  # its three words, one each


@pytest.mark.parametrize(
    ("student", "teacher"),
    [(spec(7, 7), VECTOR), (spec(49), spec(7, 7)), (spec(9, variable=True), spec(9, variable=True))],
)
def test_link_without_a_common_grid_is_refused_and_pool_vector_named(student, teacher):
    with pytest.raises(ShapeMismatch, match="PoolVector"):
        PoolGrid.for_link(Link(student, teacher))


def test_teacher_is_never_enlarged():
    with pytest.raises(ShapeMismatch, match=r"\(4, 4\). Found \(2, 2\)"):
        PoolGrid(grid=(4, 4))(Feature(torch.ones(1, 4, 2), (2, 2)))


def test_empty_grid_is_refused():
    with pytest.raises(ShapeMismatch, match="PoolVector"):
        PoolGrid(grid=())
