import sys

import pytest
import torch

from limbeck.balancers import ConflictResolver, conflict_resolver
from limbeck.errors import LimbeckError, RecipeError
from tests.balancers.measured import NAN, norms

aggregation = pytest.importorskip("torchjd.aggregation")

PAIR = ("feature", "output")
# Two gradients in three dimensions, agreeing and disagreeing, of like and unlike length.
CASES = [(1.0, 1.0, 0.5), (1.0, 5.0, -0.5), (25.0, 1.0, -0.3), (1e-4, 2e-4, -0.7)]


def gradients(own, output, cosine) -> torch.Tensor:
    return torch.tensor([[own, 0.0], [output * cosine, output * (1 - cosine**2) ** 0.5]], dtype=torch.float64)


def weights(method, own, output, cosine) -> torch.Tensor:
    balancer = ConflictResolver(PAIR, method=method)
    balancer.step(torch.ones(2), norms([own, NAN], [output, NAN], [cosine, NAN]))
    return balancer(torch.ones(2, dtype=torch.float64)).weights


@pytest.mark.parametrize("case", CASES)
def test_upgrad_is_half_of_pcgrad(case):
    g = gradients(*case)
    projected = [a - min(0.0, (a @ b).item()) / (b @ b) * b for a, b in (g, g.flip(0))]  # PCGrad, two losses
    found = weights("UPGrad", *case) @ g
    assert torch.allclose(found, (projected[0] + projected[1]) / 2, rtol=1e-3, atol=1e-4 * g.norm().item())


@pytest.mark.parametrize("case", CASES)
def test_imtlg_nash_and_mgda_of_unit_gradients_share_one_direction(case):
    g = gradients(*case)
    units = g / g.norm(dim=1, keepdim=True)
    bisector = units.sum(0)
    nash = 1 / (g.norm(dim=1) * (1 + case[2]) ** 0.5)
    assert torch.allclose(g @ g.T @ nash, 1 / nash)  # Nash-MTL's own condition
    least = aggregation.MGDAWeighting()(units @ units.T)
    for found in (weights("IMTLG", *case) @ g, nash @ g, least @ units):
        assert torch.cosine_similarity(found, bisector, dim=0).item() == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_dual_projection_works_against_neither(case):
    g = gradients(*case)
    found = weights("DualProj", *case) @ g
    assert (g @ found / g.norm(dim=1) / found.norm() > -1e-4).all()


@pytest.mark.parametrize("case", CASES)
def test_mgda_is_the_shortest_point_between_both(case):
    g = gradients(*case)
    share = torch.linspace(0, 1, 1001, dtype=torch.float64).unsqueeze(1)
    shortest = (share * g[0] + (1 - share) * g[1]).norm(dim=1).min()  # by trying all
    assert (weights("MGDA", *case) @ g).norm().item() == pytest.approx(shortest.item(), rel=1e-2)


@pytest.mark.parametrize("method", ["DualProj", "IMTLG", "MGDA", "UPGrad"])
def test_common_length_does_not_matter(method):
    plain, tiny = weights(method, 2.0, 1.0, -0.5), weights(method, 2e-6, 1e-6, -0.5)
    assert torch.allclose(plain, tiny, atol=1e-3)


def test_several_taps_are_averaged_by_share():
    balancer = ConflictResolver(("feature", "feature", "output"), shares=[1.0, 3.0, 1.0])
    balancer.step(torch.ones(3), norms([1.0, 1.0, NAN], [1.0, 1.0, NAN], [-0.5, 0.5, NAN]))
    # Alone (0.75, 0.75) and (0.5, 0.5); features by share: 0.75 / 4, 3 * 0.5 / 4; outputs (0.75 + 3 * 0.5) / 4.
    assert balancer(torch.ones(3)).weights.tolist() == pytest.approx([0.1875, 0.375, 0.5625], abs=1e-3)


def test_what_is_not_measured_stays_at_one_half():
    balancer = ConflictResolver(PAIR)
    balancer.step(torch.ones(2))
    balancer.step(torch.ones(2), norms([0.0, NAN], [1.0, NAN], [0.0, NAN]))
    assert balancer(torch.ones(2)).weights.tolist() == [0.5, 0.5]
    assert ConflictResolver(("output",))(torch.ones(1)).weights.tolist() == [0.5]


def test_unknown_method_is_refused_by_name():
    with pytest.raises(RecipeError, match="no method 'PCGrad'"):
        ConflictResolver(PAIR, method="PCGrad")


def test_missing_library_is_answered_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    conflict_resolver._weighting.cache_clear()
    with pytest.raises(LimbeckError, match=r"limbeck\[conflict\]"):
        ConflictResolver(PAIR)
    conflict_resolver._weighting.cache_clear()
