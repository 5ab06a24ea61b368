import pytest
import torch

from limbeck.balancers import GradNorm
from limbeck.errors import RecipeError
from tests.balancers.measured import NAN, norms

GROUPS = ("feature", "feature", "output", "output")
MEASURED = norms([4.0, 0.5, NAN, NAN], [2.0, 1.0, NAN, NAN], [0.0, 0.0, NAN, NAN])


def rested(balancer: GradNorm, losses: list[float], steps: int = 300) -> list[float]:
    for _ in range(steps):
        balancer.step(torch.tensor(losses), MEASURED)
    return balancer(torch.ones(len(losses))).weights.tolist()


def test_equally_fast_losses_end_with_equal_forces():
    # Lengths in units of the outputs': 2, 0.5, 1. Equal force: weights 0.5 : 2 : 1, which sum to 3 tasks.
    expected = [3 * each / 3.5 for each in (0.5, 2.0, 1.0, 1.0)]
    assert rested(GradNorm(GROUPS), [1.0, 1.0, 1.0, 1.0]) == pytest.approx(expected, rel=1e-3)


def test_slow_loss_pulls_harder_by_the_published_power():
    balancer = GradNorm(GROUPS, alpha=1.5)
    balancer.step(torch.tensor([2.0, 1.0, 1.0, 1.0]))
    weights = rested(balancer, [1.0, 1.0, 1.0, 1.0])  # the first has fallen to one half, the others not at all
    forces = [weights[0] * 2.0, weights[1] * 0.5, weights[2] * 1.0]
    assert forces[0] / forces[2] == pytest.approx(0.5**1.5, rel=1e-3)  # ratio of (L / L(0))^alpha
    assert forces[1] == pytest.approx(forces[2], rel=1e-3)
    assert sum(weights[:3]) == pytest.approx(3.0)


def test_outputs_are_one_task_that_falls_as_their_sum_does():
    balancer = GradNorm(GROUPS, shares=[1.0, 1.0, 1.0, 3.0], alpha=1.0)
    balancer.step(torch.tensor([1.0, 1.0, 1.0, 1.0]))
    weights = rested(balancer, [1.0, 1.0, 1.0, 0.2])  # the features stand still, the outputs go from 1 + 3 to 1 + 0.6
    assert weights[2] / (weights[0] * 2.0) == pytest.approx(1.6 / 4, rel=1e-3)
    assert weights[3] == pytest.approx(3 * weights[2])  # by share


def test_one_step_by_hand():
    balancer = GradNorm(("feature", "output"), alpha=0.0, rate=0.5)
    balancer.step(torch.ones(2), norms([3.0, NAN], [2.0, NAN], [0.0, NAN]))
    # Forces 1.5 and 1, mean 1.25: logs move by half of log(1.25 / 1.5) and of log(1.25 / 1).
    raw = [(1.25 / 1.5) ** 0.5, 1.25**0.5]
    assert balancer(torch.ones(2)).weights.tolist() == pytest.approx([2 * each / sum(raw) for each in raw])


def test_unit_of_a_loss_does_not_matter():
    scaled = norms([4e4, 0.5, NAN, NAN], [2.0, 1.0, NAN, NAN], [0.0, 0.0, NAN, NAN])
    plain, other = GradNorm(GROUPS), GradNorm(GROUPS)
    for _ in range(300):
        plain.step(torch.ones(4), MEASURED)
        other.step(torch.tensor([1e4, 1.0, 1.0, 1.0]), scaled)
    plain, other = plain(torch.ones(4)).weights, other(torch.ones(4)).weights
    # The weight makes up for the unit; the common factor is that of the sum.
    assert (other[0] * 1e4 / other[2]).item() == pytest.approx((plain[0] / plain[2]).item(), rel=1e-2)


def test_without_a_measurement_weights_stay_one():
    balancer = GradNorm(GROUPS)
    balancer.step(torch.rand(4))
    balancer.step(torch.rand(4), norms([NAN] * 4, [NAN] * 4, [NAN] * 4))
    assert balancer(torch.ones(4)).weights.tolist() == [1.0] * 4


def test_term_that_is_not_measured_keeps_its_weight_beside_the_others():
    balancer = GradNorm(GROUPS)
    for _ in range(50):
        balancer.step(torch.ones(4), norms([4.0, NAN, NAN, NAN], [2.0, NAN, NAN, NAN], [0.0, NAN, NAN, NAN]))
    assert balancer.log_weight[1] == 0
    assert balancer.log_weight[0] < 0


@pytest.mark.parametrize("options", [{"alpha": -1.0}, {"rate": 0.0}, {"rate": 2.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(RecipeError, match="GradNorm needs"):
        GradNorm(GROUPS, **options)
