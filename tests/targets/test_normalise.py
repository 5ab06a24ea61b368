import pytest
import torch

from limbeck.features import Feature
from limbeck.targets import Normalise


def test_every_position_has_length_one():
    feature = Feature(torch.randn(4, 3, 5) * torch.tensor([1.0, 100.0, 1e-3]).view(1, 3, 1), (3,))
    out = Normalise()(feature)
    assert torch.allclose(out.x.norm(dim=-1), torch.ones(4, 3))
    assert torch.allclose(out.x * feature.x.norm(dim=-1, keepdim=True), feature.x, rtol=1e-4)  # the direction is kept


def test_nothing_stays_nothing():
    assert Normalise()(Feature(torch.zeros(1, 1, 3))).x.abs().max() == 0


def test_half_precision_is_normalised_in_full():
    out = Normalise()(Feature(torch.full((1, 1, 4), 6e4, dtype=torch.float16)))
    assert out.x.flatten().tolist() == pytest.approx([0.5] * 4)  # the square would overflow


def test_value_by_hand():
    assert Normalise()(Feature(torch.tensor([[[3.0, 4.0]]]))).x.flatten().tolist() == pytest.approx([0.6, 0.8])
