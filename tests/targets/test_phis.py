import pytest
import torch
from torch import nn

from limbeck.distiller import Term, fold_head
from limbeck.errors import TeacherError
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE
from limbeck.projectors import Orthogonal
from limbeck.targets import PHIS


def teacher(channels: int, samples: int = 400) -> Feature:
    """Correlated channels of very different spread, far from zero."""
    spread = torch.logspace(-1, 1, channels)
    return Feature(5 + (torch.randn(samples, 2, channels) * spread) @ torch.randn(channels, channels), (2,))


def fitted(feature: Feature) -> PHIS:
    target = PHIS(feature.x.shape[2])
    target.fit([feature])
    return target


@pytest.mark.parametrize("channels", [4, 6, 12, 32])
def test_every_channel_has_mean_zero_and_variance_one(channels):
    feature = teacher(channels)
    x = fitted(feature)(feature).x.flatten(0, 1).double()
    assert x.mean(0).abs().max() < 1e-4
    assert (x.var(0, unbiased=False) - 1).abs().max() < 1e-4  # Ranzinger et al.: all equal, by one scale


@pytest.mark.parametrize("channels", [6, 12])
def test_distances_are_the_teacher_s_own_up_to_one_factor(channels):
    feature = teacher(channels, samples=50)
    target = fitted(feature)
    own, out = feature.x[:, 0].double(), target(feature).x[:, 0].double()
    assert torch.allclose(torch.cdist(out, out) * target.scale, torch.cdist(own, own), rtol=1e-3, atol=1e-2)


def test_it_can_be_undone():
    feature = teacher(12)
    target = fitted(feature)
    back = target(feature).x * target.scale @ target.rotation + target.mean
    assert torch.allclose(back, feature.x, rtol=1e-3, atol=1e-2)


def test_rotation_is_hadamard_times_principal_axes():
    feature = teacher(12)
    target = fitted(feature)
    rows = feature.x.flatten(0, 1).double()
    _, _, axes = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    # In the basis of the principal axes every entry is one over the root of 12, up to the sign.
    assert torch.allclose((target.rotation.double() @ axes.T).abs(), torch.full((12, 12), 12**-0.5).double(), atol=1e-3)


def test_masked_positions_do_not_count():
    x, mask = torch.randn(40, 5, 4), torch.rand(40, 5) > 0.5
    mask[:, 0] = True
    padded = fitted(Feature(torch.where(mask.unsqueeze(-1), x, torch.nan), mask=mask))
    valid = fitted(Feature(x[mask].unsqueeze(0)))
    assert torch.allclose(padded.rotation, valid.rotation, atol=1e-4)
    assert torch.allclose(padded.scale, valid.scale)


def test_teacher_of_low_rank_is_no_trouble():
    feature = Feature(torch.randn(100, 1, 2) @ torch.randn(2, 8))
    x = fitted(feature)(feature).x.flatten(0, 1)
    assert (x.var(0, unbiased=False) - 1).abs().max() < 1e-3


@pytest.mark.parametrize("x", [torch.ones(4, 1, 3), torch.full((4, 1, 3), torch.nan)])
def test_feature_with_nothing_to_teach_is_refused(x):
    with pytest.raises(TeacherError, match="PHIS needs features that are finite and vary"):
        fitted(Feature(x))


def test_it_is_folded_into_the_head_with_an_orthogonal_projector():
    specs = [FeatureSpec("1:input", "BC", size, role="head") for size in (6, 12)]
    link = Link(*specs)
    student, head = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 3)), nn.Linear(12, 3)
    term = Term(link, loss=MSE(), projector=Orthogonal.for_link(link), targets=[PHIS.for_link(link)])
    target = term.targets[0]
    target.fit([teacher(12)])
    x = torch.randn(5, 4)
    projected = term.projector(Feature(student[0](x).unsqueeze(1))).x
    own = projected * target.scale @ target.rotation + target.mean  # in the teacher's own units
    assert torch.allclose(fold_head(student, term, head, head="1")(x), head(own[:, 0]), rtol=1e-3, atol=1e-3)


def test_value_by_hand():
    feature = Feature(torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).unsqueeze(1))
    target = PHIS(2)
    target.fit([feature])  # variances 4.5 and 0.5, 2.5 on the diagonals: 3 becomes 3 / root 2 / root 2.5 in both
    assert target(feature).x[0].flatten().abs().tolist() == pytest.approx([3 / 5**0.5] * 2, rel=1e-4)
