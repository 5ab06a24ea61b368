import pytest
import torch
from torch import nn

from limbeck._math.layers import convolve, linear
from limbeck.errors import ShapeMismatch


@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_that_of_torch_in_the_precision_of_its_input(bias):
    layer = nn.Linear(3, 2, bias=bias)
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    found = linear(x, layer.weight, layer.bias)
    assert found.dtype == torch.float64
    assert torch.allclose(found, layer.double()(x))


@pytest.mark.parametrize(
    ("grid", "make"), [((6,), nn.Conv1d), ((2, 3), nn.Conv2d), ((2, 1, 3), nn.Conv3d)], ids=["1d", "2d", "3d"]
)
def test_convolution_is_that_of_torch_on_the_grid(grid, make):
    layer = make(3, 2, 3, padding=1)
    image = torch.randn(4, 3, *grid)
    found = convolve(image.flatten(2).transpose(1, 2), grid, layer.weight, layer.bias)
    assert torch.allclose(found.transpose(1, 2).unflatten(2, grid), layer(image), atol=1e-6)


def test_a_grid_with_other_axes_is_refused():
    with pytest.raises(ShapeMismatch, match=r"over 2 axes.*\(6,\)"):
        convolve(torch.ones(1, 6, 3), (6,), torch.ones(2, 3, 3, 3))
