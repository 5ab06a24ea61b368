import numpy as np
import pytest
import torch

from limbeck.errors import RecipeError
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.targets import PCA, Standardise

WIDE = FeatureSpec("pool", "BC", 10)


def fitted(feature: Feature, components: int) -> PCA:
    target = PCA(feature.x.shape[2], components=components)
    target.fit([feature])
    return target


def test_value_is_that_of_numpy_s_singular_vectors():
    feature = Feature(torch.randn(60, 2, 5) @ torch.randn(5, 5) + 3, (2,))
    rows = feature.x.flatten(0, 1).double().cpu().numpy()
    centred = rows - rows.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    scale = np.sqrt((values[:3] ** 2 / len(rows)).mean())
    found = fitted(feature, 3)(feature).x.flatten(0, 1).double().cpu().numpy()
    assert np.allclose(np.abs(found), np.abs(centred @ axes[:3].T / scale), atol=1e-4)  # up to the sign of an axis


def test_error_of_nothing_is_one():
    feature = Feature(torch.randn(100, 1, 6) * torch.logspace(0, 2, 6))
    assert fitted(feature, 2)(feature).x.square().mean().item() == pytest.approx(1.0, rel=1e-3)


def test_standardise_after_it_whitens():
    feature = Feature(torch.randn(200, 1, 6) @ torch.randn(6, 6))
    out = fitted(feature, 4)(feature)
    whiten = Standardise(4)
    whiten.fit([out])
    x = whiten(out).x.flatten(0, 1)
    assert torch.allclose(x.T @ x / len(x), torch.eye(4), atol=1e-3)  # the definition


def test_components_are_the_student_s_channels_unless_said():
    assert PCA.for_link(Link(FeatureSpec("fc", "BC", 6), WIDE)).components == 6
    assert PCA.for_link(Link(FeatureSpec("fc", "BC", 64), WIDE)).components == 10
    assert PCA.for_link(Link(FeatureSpec("fc", "BC", 6), WIDE), components=3).describe(WIDE).channels == 3


@pytest.mark.parametrize("components", [0, 11])
def test_components_out_of_range_are_refused(components):
    with pytest.raises(RecipeError, match=f"Found {components}"):
        PCA(10, components=components)


def test_value_by_hand():
    feature = Feature(torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).unsqueeze(1))
    target = PCA(2, components=1)
    target.fit([feature])  # variances 4.5 and 0.5, so that the first axis is kept and divided by the root of 4.5
    assert target(feature).x.flatten().abs().tolist() == pytest.approx([2**0.5, 2**0.5, 0.0, 0.0], abs=1e-5)
