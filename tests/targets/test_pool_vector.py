import torch

from limbeck.features import Feature
from limbeck.links import FeatureSpec
from limbeck.targets import PoolVector


def test_mean_over_valid_positions_without_the_prefix():
    x = torch.tensor([[[100.0], [1.0], [5.0], [7.0]]])
    mask = torch.tensor([[True, True, True, False]])
    out = PoolVector()(Feature(x, (3,), 1, mask))
    assert out.x.tolist() == [[[3.0]]]  # (1 + 5) / 2
    assert (out.grid, out.prefix, out.mask) == (None, 0, None)


def test_token_that_the_head_reads():
    x = torch.tensor([[[1.0], [2.0], [3.0]]])
    mask = torch.tensor([[True, True, False]])
    assert PoolVector()(Feature(x, (2,), 1, None, 0)).x.item() == 1.0  # the class token
    assert PoolVector()(Feature(x, (3,), 0, mask, -1)).x.item() == 2.0  # the last valid word


def test_description_is_a_vector():
    described = PoolVector().describe(FeatureSpec("a", "BNC", 6, 17, (4, 4), prefix=1, summary=0, variable=True))
    assert described == FeatureSpec("a", "BNC", 6)
