import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck._math.pooling import pool_grid, pool_valid_grid, pool_valid_sequence
from limbeck.errors import ShapeMismatch


def bins(have: int, want: int) -> list[range]:
    """The definition of adaptive average pooling along one axis."""
    return [range(i * have // want, math.ceil((i + 1) * have / want)) for i in range(want)]


def pooled_by_loops(x: np.ndarray, grid: tuple[int, ...], target: tuple[int, ...]) -> np.ndarray:
    batch, _, channels = x.shape
    image = x.reshape(batch, *grid, channels)
    cells = itertools.product(*(bins(have, want) for have, want in zip(grid, target, strict=True)))
    rows = [image[(slice(None), *np.ix_(*cell))].reshape(batch, -1, channels).mean(1) for cell in cells]
    return np.stack(rows, 1)


@pytest.mark.parametrize(
    ("grid", "target"),
    [((7,), (3,)), ((6, 4), (3, 2)), ((5, 7), (2, 3)), ((4, 6, 2), (2, 3, 1)), ((3, 3), (3, 3)), ((4, 4), (1, 1))],
)
def test_shrinking_is_the_mean_of_each_bin(grid, target):
    x = torch.randn(2, math.prod(grid), 3)
    expected = pooled_by_loops(x.cpu().numpy(), grid, target)  # loops over the definition
    assert np.allclose(pool_grid(x, grid, target).cpu().numpy(), expected, atol=1e-6)


def test_growing_interpolates_linearly_between_the_centres():
    x = torch.tensor([[[0.0], [4.0]]])
    # Centres of 4 cells over 2: at -0.25 (held at the edge), 0.25, 0.75 and 1.25 (held) of the way from 0 to 4.
    assert pool_grid(x, (2,), (4,)).flatten().tolist() == [0.0, 1.0, 3.0, 4.0]


def test_one_axis_can_shrink_while_another_grows():
    x = torch.tensor([[[0.0], [4.0], [2.0], [6.0]]])  # rows (0, 4) and (2, 6)
    # Rows averaged to (1, 5), then columns interpolated to four.
    assert pool_grid(x, (2, 2), (1, 4)).flatten().tolist() == [1.0, 2.0, 4.0, 5.0]


@pytest.mark.parametrize(("grid", "target"), [((4,), (2, 2)), ((2, 2), (4,)), ((1, 1, 1, 4), (1, 1, 1, 2))])
def test_grids_with_other_axes_are_refused(grid, target):
    with pytest.raises(ShapeMismatch, match="PoolVector"):
        pool_grid(torch.ones(1, 4, 2), grid, target)


@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), want=st.integers(1, 6), left=st.booleans())
def test_masked_sequence_is_the_unpadded_sequence(lengths, want, left):
    width = max(lengths) + 2
    x, mask = torch.full((len(lengths), width, 2), torch.nan), torch.zeros(len(lengths), width, dtype=torch.bool)
    for row, length in enumerate(lengths):
        start = width - length if left else 0
        x[row, start : start + length] = torch.randn(length, 2)
        mask[row, start : start + length] = True
    found, valid = pool_valid_sequence(x, mask, want)
    assert valid.all()
    for row in range(len(lengths)):
        alone = x[row][mask[row]].cpu().numpy()[None]
        expected = pooled_by_loops(alone, (alone.shape[1],), (want,))  # each sample by itself, without padding
        assert np.allclose(found[row].cpu().numpy(), expected[0], atol=1e-5)


def test_sequence_without_a_valid_position_stays_invalid():
    x, valid = pool_valid_sequence(torch.ones(1, 3, 2), torch.zeros(1, 3, dtype=torch.bool), 2)
    assert not valid.any()
    assert x.abs().sum() == 0


def test_masked_grid_is_the_mean_of_the_valid_positions_of_each_bin():
    x, mask = torch.randn(3, 24, 2), torch.rand(3, 24) > 0.6
    found, valid = pool_valid_grid(x, mask, (6, 4), (3, 2))
    image, counts = x.reshape(3, 6, 4, 2), mask.reshape(3, 6, 4)
    for sample, row, column in itertools.product(range(3), range(3), range(2)):
        part = (sample, slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
        values, place = image[part][counts[part]], 2 * row + column
        assert valid[sample, place].item() == bool(len(values))
        if len(values):
            assert torch.allclose(found[sample, place], values.mean(0), atol=1e-6)  # the mean over the mask, by hand
