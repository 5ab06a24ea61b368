import sys

import numpy as np
import pytest
import torch

from limbeck.balancers import ConflictResolver, jacobian_descent
from limbeck.errors import LimbeckError, RecipeError
from limbeck.testing import check_balancer
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


@pytest.mark.parametrize("case", CASES)
def test_cagrad_makes_the_slower_loss_fall_fastest_within_its_ball(case):
    pytest.importorskip("cvxpy")
    g = gradients(*case)
    mean = g.mean(0)
    angle = torch.linspace(0, 2 * torch.pi, 100_001, dtype=torch.float64)
    ball = mean + 0.5 * mean.norm() * torch.stack([angle.cos(), angle.sin()], 1)  # the best lies on its rim
    best = (ball @ g.T).amin(1).max()
    found = weights("CAGrad", *case) @ g
    assert ((found - mean).norm() / mean.norm()).item() == pytest.approx(0.5, abs=1e-2)
    assert (g @ found).min().item() == pytest.approx(best.item(), rel=1e-2)


@pytest.mark.parametrize("case", CASES)
def test_fairgrad_lets_each_loss_fall_by_a_power_of_its_weight(case):
    g = gradients(*case) / (sum(each**2 for each in case[:2]) / 2) ** 0.5  # as they are given to it
    found = weights("FairGrad", *case).double()
    torch.testing.assert_close(g @ (found @ g), found**-0.5, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_aligned_gradients_are_orthogonal_and_of_one_length(case):
    g = gradients(*case) / (sum(each**2 for each in case[:2]) / 2) ** 0.5
    values, vectors = np.linalg.eigh((g @ g.T).numpy())
    expected = np.sqrt(values.min()) * vectors @ np.diag(values**-0.5) @ vectors.T @ np.array([0.5, 0.5])
    assert weights("AlignedMTL", *case).tolist() == pytest.approx(expected.clip(min=0).tolist(), rel=1e-3, abs=1e-5)


def test_a_negative_weight_counts_as_zero():
    # By hand: eigenvalues of [[100, 9], [9, 1]] give the longer gradient a weight below zero.
    assert weights("AlignedMTL", 10.0, 1.0, 0.9).tolist()[0] == 0.0
    assert weights("AlignedMTL", 10.0, 1.0, 0.9).tolist()[1] > 0


def test_settings_are_those_of_the_method():
    balancer = ConflictResolver(PAIR, method="FairGrad", settings={"alpha": 1.0})
    balancer.step(torch.ones(2), norms([2.0, NAN], [1.0, NAN], [0.3, NAN]))
    found = balancer(torch.ones(2)).weights
    assert (found[0] / found[1]).item() == pytest.approx(0.5, rel=1e-2)  # as Nash-MTL: by one over the lengths
    assert "settings={'alpha': 1.0}" in repr(balancer)
    with pytest.raises(RecipeError, match="does not take settings"):
        ConflictResolver(PAIR, settings={"c": 0.4})


@pytest.mark.parametrize("method", ["AlignedMTL", "DualProj", "FairGrad", "IMTLG", "MGDA", "UPGrad"])
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


def test_every_method_of_torchjd_is_taken_or_refused_with_a_reason():
    every = [name.removesuffix("Weighting") for name in aggregation.__all__]
    contracts = {"Aggregator", "GramianWeightedAggregator", "WeightedAggregator", ""}
    for method in set(every) - contracts - set(jacobian_descent.METHODS):
        with pytest.raises(RecipeError, match=f"^ConflictResolver .*{method}(: |, which needs the gradients)"):
            ConflictResolver(PAIR, method=method)


def test_what_is_twice_another_for_two_losses_names_that():
    with pytest.raises(RecipeError, match="PCGrad: for two losses it is twice UPGrad"):
        ConflictResolver(PAIR, method="PCGrad")


def test_an_unknown_method_is_refused_with_the_nearest():
    with pytest.raises(RecipeError, match="no method 'UpGrad'.*UPGrad"):
        ConflictResolver(PAIR, method="UpGrad")


def test_a_method_that_needs_the_gradients_themselves_is_refused_even_if_nobody_listed_it(monkeypatch):
    monkeypatch.setattr(aggregation, "Newest", type("Newest", (aggregation.Aggregator,), {}), raising=False)
    monkeypatch.setattr(aggregation, "NewestWeighting", type("NewestWeighting", (), {}), raising=False)
    with pytest.raises(RecipeError, match="Newest, which needs the gradients"):
        ConflictResolver(PAIR, method="Newest")


def test_missing_library_is_answered_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    jacobian_descent.weighting.cache_clear()
    with pytest.raises(LimbeckError, match=r"limbeck\[conflict\]"):
        ConflictResolver(PAIR)


def test_a_missing_solver_is_answered_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setattr(aggregation.CAGradWeighting, "_REQUIRED_DEPS", ["no_such_solver"])
    jacobian_descent.weighting.cache_clear()
    with pytest.raises(LimbeckError, match=r"no_such_solver.*torchjd\[cagrad\]"):
        ConflictResolver(PAIR, method="CAGrad")


@pytest.mark.parametrize("method", jacobian_descent.METHODS)
def test_every_method_keeps_the_contract_of_balancers(method):
    check_balancer(lambda groups: ConflictResolver(groups, method=method))
