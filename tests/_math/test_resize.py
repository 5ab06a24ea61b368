import pytest
import torch

from limbeck._math.resize import resize
from limbeck.errors import ShapeMismatch
from limbeck.features import Feature


def test_prefix_tokens_are_left_out():
    x = torch.tensor([[[100.0], [1.0], [3.0], [5.0], [7.0]]])
    resized = resize(Feature(x, grid=(2, 2), prefix=1, summary=0), (1, 2))
    assert resized.x.flatten().tolist() == [3.0, 5.0]  # columns (1, 5) and (3, 7)
    assert (resized.grid, resized.prefix, resized.summary) == ((1, 2), 0, None)


def test_grid_without_axes_is_what_the_head_reads():
    x = torch.tensor([[[100.0], [1.0], [3.0]]])
    assert resize(Feature(x, grid=(2,), prefix=1, summary=0), ()).x.item() == 100.0  # the class token
    assert resize(Feature(x, grid=(2,), prefix=1), ()).x.item() == 2.0  # the mean of the others


def test_padding_does_not_change_a_pooled_sequence():
    x = torch.randn(1, 5, 3)
    padded = torch.cat([x, torch.full((1, 4, 3), torch.nan)], 1)
    mask = torch.tensor([[True] * 5 + [False] * 4])
    short, long = resize(Feature(x, (5,)), (2,)), resize(Feature(padded, (9,), 0, mask), (2,))
    assert torch.allclose(short.x, long.x, atol=1e-6)  # the same five positions
    assert long.mask.all()


def test_what_the_head_reads_stands_on_any_grid_of_one_position():
    vector, sequence = Feature(torch.ones(2, 1, 3)), Feature(torch.randn(2, 5, 3), (5,), 0, None, -1)
    assert resize(vector, (1, 1)).grid == (1, 1)
    assert torch.equal(resize(sequence, (1, 1)).x, sequence.x[:, -1:])  # its head reads the last step


@pytest.mark.parametrize(("grid", "target"), [(None, (2,)), ((4,), (2, 2))])
def test_positions_without_correspondence_are_refused(grid, target):
    with pytest.raises(ShapeMismatch, match="PoolVector"):
        resize(Feature(torch.ones(2, 4, 3), grid), target)
