import math

import numpy as np
import pytest
import torch

from limbeck.balancers import TapNorm
from limbeck.balancers.family import TapNorms
from limbeck.errors import RecipeError

NAN = float("nan")
LOSSES = torch.ones(3)
GROUPS = ("feature", "feature", "output")


def norms(feature, output, cosine) -> TapNorms:
    return TapNorms(*(torch.tensor([*each, NAN]) for each in (feature, output, cosine)))


def weights(balancer: TapNorm, strength: torch.Tensor | None = None) -> list[float]:
    return balancer(LOSSES, strength).weights.tolist()


def test_before_the_first_measurement_features_share_rho():
    assert weights(TapNorm(GROUPS, rho=3.0)) == pytest.approx([1.5, 1.5, 1.0])  # ratio 1, rho over two terms


def test_one_measurement_by_hand():
    balancer = TapNorm(GROUPS, rho=4.0)
    balancer.step(LOSSES, norms([0.5, 8.0], [2.0, 2.0], [0.3, 0.9]))
    # Ratios 4 and 1/4, times 4 / 2; no conflict.
    assert weights(balancer) == pytest.approx([8.0, 0.5, 1.0], rel=1e-4)


def test_average_is_the_bias_corrected_one_of_the_logarithms():
    balancer, beta = TapNorm(("feature", "output"), beta=0.9), 0.9
    ratios = [2.0, 8.0, 4.0]
    for ratio in ratios:
        balancer.step(torch.ones(2), TapNorms(*(torch.tensor([each, NAN]) for each in (1.0, ratio, 0.0))))
    parts = np.array([(1 - beta) * beta ** (2 - i) for i in range(3)])
    expected = math.exp((parts * np.log(ratios)).sum() / parts.sum())  # the definition, in numpy
    assert balancer(torch.ones(2)).weights[0].item() == pytest.approx(expected, rel=1e-4)


def test_guard_gives_the_gradient_that_yields():
    """The weighted sum has the gradient of the replaced feature gradient, to the last digit of the arithmetic."""
    tap = torch.randn(5, dtype=torch.float64, requires_grad=True)
    a = torch.randn(5, dtype=torch.float64)
    b = torch.randn(5, dtype=torch.float64) - a  # so that the two disagree
    feature, output = (tap * a).sum(), (tap * b).sum()
    assert torch.dot(a, b) < 0
    balancer = TapNorm(("feature", "output"), rho=1.5).double()
    n_f, n_o, c = a.norm(), b.norm(), torch.dot(a, b)
    measured = (torch.stack([each, torch.tensor(NAN).double()]) for each in (n_f, n_o, c / (n_f * n_o)))
    balancer.step(torch.ones(2), TapNorms(*measured))
    balancer(torch.stack([feature, output])).total.backward()
    expected = b + 1.5 * n_o / n_f * (a - c / n_o**2 * b)  # methods: g_f less its part against g_o, at equal force
    assert torch.allclose(tap.grad, expected, rtol=1e-5)
    yielded = tap.grad - b
    assert torch.dot(yielded, b).abs() < 1e-4  # what the feature adds does not work against the output


def test_guard_follows_the_strength_of_the_features():
    balancer = TapNorm(GROUPS)
    balancer.step(LOSSES, norms([1.0, 1.0], [1.0, 1.0], [-0.8, 0.5]))
    assert weights(balancer)[2] == pytest.approx(1 + 0.5 * 0.8)  # rho / 2 times 0.8, the second term agrees
    faded = weights(balancer, torch.tensor([0.1, 0.1, 1.0]))
    assert faded == pytest.approx([0.05, 0.05, 1 + 0.05 * 0.8], rel=1e-4)
    assert weights(balancer, torch.tensor([1.0, 1.0, 0.0]))[2] == 0  # no outputs, nothing to yield to


def test_shares_divide_rho():
    balancer = TapNorm(GROUPS, shares=[3.0, 1.0, 1.0])
    assert weights(balancer) == pytest.approx([0.75, 0.25, 1.0])  # 3/4 and 1/4 of rho = 1


@pytest.mark.parametrize(
    ("feature", "output", "cosine"),
    [(0.0, 1.0, 0.5), (1.0, 0.0, 0.5), (NAN, 1.0, 0.5), (1.0, math.inf, 0.5), (1.0, 1.0, NAN), (math.inf, 1.0, 0.5)],
)
def test_measurement_that_is_zero_or_not_finite_moves_nothing(feature, output, cosine):
    balancer = TapNorm(GROUPS)
    balancer.step(LOSSES, norms([1.0, 1.0], [3.0, 3.0], [0.0, 0.0]))
    before = weights(balancer)
    balancer.step(LOSSES, norms([feature, 1.0], [output, 3.0], [cosine, 0.0]))
    assert weights(balancer) == pytest.approx(before)
    assert balancer.count.tolist() == [1, 2, 0]


def test_step_without_a_measurement_moves_nothing():
    balancer = TapNorm(GROUPS)
    balancer.step(LOSSES)
    assert balancer.count.sum() == 0


def test_single_outlier_stays_within_a_hundred_times_the_median():
    balancer = TapNorm(("feature", "output"))
    one = torch.ones(2)
    balancer.step(one, TapNorms(*(torch.tensor([each, NAN]) for each in (1.0, 1.0, 0.0))))
    balancer.step(one, TapNorms(*(torch.tensor([each, NAN]) for each in (1e-12, 1e3, 0.0))))
    # Smoothed over two alike: sqrt of 1e6 (the epsilon's limit), within 100 of the lower median, 1.
    assert balancer(one).weights[0].item() == pytest.approx(100.0, rel=1e-4)


def test_a_vanishing_gradient_gets_a_weight_of_a_million_at_most():
    balancer = TapNorm(("feature", "output"))
    balancer.step(torch.ones(2), TapNorms(*(torch.tensor([each, 1.0]) for each in (1e-12, 1.0, 0.0))))
    assert balancer(torch.ones(2)).weights.tolist() == pytest.approx([1e6, 1.0], rel=1e-4)  # 1 / (1e-12 + 1e-6)
    assert balancer.count.tolist() == [1, 0]  # what stands beside an output is no measurement


def test_reset_forgets_the_median_too():
    balancer, one = TapNorm(("feature", "output")), torch.ones(2)
    balancer.step(one, TapNorms(*(torch.tensor([each, NAN]) for each in (1e3, 1.0, 0.0))))
    balancer.reset()
    assert balancer(one).weights.tolist() == [1.0, 1.0]
    balancer.step(one, TapNorms(*(torch.tensor([each, NAN]) for each in (1e-3, 1.0, 0.0))))
    # The ratio alone, not held within a factor 100 of a median of what was forgotten.
    assert balancer(one).weights[0].item() == pytest.approx(1e3, rel=1e-2)


def test_features_alone_are_never_measured_and_keep_equal_weights():
    balancer = TapNorm(("feature", "feature"))
    balancer.step(torch.ones(2), TapNorms(*(torch.full((2,), NAN) for _ in range(3))))
    assert balancer(torch.ones(2)).weights.tolist() == [0.5, 0.5]


def test_more_measurements_than_are_remembered_keep_working():
    balancer = TapNorm(("feature", "output"))
    for _ in range(250):
        balancer.step(torch.ones(2), TapNorms(*(torch.tensor([each, NAN]) for each in (1.0, 5.0, -0.2))))
    assert balancer(torch.ones(2)).weights.tolist() == pytest.approx([5.0, 1.2], rel=1e-3)  # a constant is its own mean


@pytest.mark.parametrize("options", [{"rho": -1.0}, {"beta": 1.0}, {"rho": math.inf}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(RecipeError, match=str(next(iter(options.values())))):
        TapNorm(GROUPS, **options)


def test_it_wants_a_measurement_every_tenth_step():
    assert TapNorm.measure_every == 10
