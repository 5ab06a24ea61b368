import numpy as np
import torch

from limbeck.features import Feature
from limbeck.targets import LayerNorm


def test_value_by_numpy():
    x = 3 + 5 * torch.randn(2, 4, 6)
    n = x.cpu().numpy()
    expected = (n - n.mean(-1, keepdims=True)) / np.sqrt(n.var(-1, keepdims=True) + 1e-5)  # the formula
    assert np.allclose(LayerNorm()(Feature(x)).x.cpu().numpy(), expected, atol=1e-5)


def test_value_by_hand():
    out = LayerNorm(eps=0.0)(Feature(torch.tensor([[[1.0, 2.0, 3.0]]])))
    # Mean 2, variance 2/3.
    assert torch.allclose(out.x.flatten(), torch.tensor([-(1.5**0.5), 0.0, 1.5**0.5]))


def test_half_precision_is_normalised_in_full():
    assert LayerNorm()(Feature(torch.ones(1, 1, 3, dtype=torch.float16))).x.dtype == torch.float32


def test_grid_prefix_and_mask_stay():
    mask = torch.ones(1, 5, dtype=torch.bool)
    out = LayerNorm()(Feature(torch.randn(1, 5, 3), (2, 2), 1, mask, 0))
    assert (out.grid, out.prefix, out.summary) == ((2, 2), 1, 0)
    assert out.mask is mask
