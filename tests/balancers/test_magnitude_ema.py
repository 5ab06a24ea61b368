import pytest
import torch

from limbeck.balancers import LogSum, MagnitudeEMA
from limbeck.errors import RecipeError

GROUPS = ("feature", "output")


def test_value_by_hand():
    balancer = MagnitudeEMA(GROUPS, feature=0.8, output=0.2, beta=0.5)
    balancer.step(torch.tensor([4.0, 1.0]))
    balancer.step(torch.tensor([2.0, 1.0]))
    # Half of (half of 4) and half of 2, over one less 0.25: an average of 8 / 3.
    assert balancer(torch.ones(2)).weights.tolist() == pytest.approx([0.8 * 3 / 8, 0.2])


def test_average_is_that_of_a_loop():
    balancer, beta = MagnitudeEMA(GROUPS, beta=0.9), 0.9
    history = torch.rand(20, 2) + 0.1
    for losses in history:
        balancer.step(losses)
    weight = [beta ** (19 - t) for t in range(20)]
    expected = [sum(w * x for w, x in zip(weight, column, strict=True)) / sum(weight) for column in history.T.tolist()]
    assert balancer(torch.ones(2)).weights.tolist() == pytest.approx([1 / each for each in expected], rel=1e-5)


def test_every_loss_is_worth_its_weight_from_the_first_step():
    balanced = MagnitudeEMA(GROUPS, feature=0.8, output=0.2)(torch.tensor([1000.0, 0.01]))
    assert balanced.total.item() == pytest.approx(1.0)  # 0.8 + 0.2


def test_steady_losses_get_the_weights_of_the_logarithm():
    balancer, losses = MagnitudeEMA(GROUPS), torch.tensor([7.0, 0.3])
    for _ in range(5):
        balancer.step(losses)
    assert torch.allclose(balancer(losses).weights, LogSum(GROUPS)(losses).weights)  # the fixed point that both share


def test_frozen_average_stands_still():
    balancer = MagnitudeEMA(GROUPS, freeze_after=2)
    for value in (4.0, 4.0, 100.0, 100.0):
        balancer.step(torch.full((2,), value))
    assert balancer(torch.ones(2)).weights.tolist() == pytest.approx([0.25, 0.25], rel=1e-5)


def test_loss_that_is_not_finite_is_left_out():
    balancer = MagnitudeEMA(GROUPS)
    balancer.step(torch.tensor([2.0, 2.0]))
    balancer.step(torch.tensor([torch.nan, torch.inf]))
    assert balancer(torch.ones(2)).weights.tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("options", [{"feature": -1.0}, {"output": float("inf")}, {"beta": 1.0}, {"freeze_after": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(RecipeError, match=f"MagnitudeEMA needs .*{next(iter(options.values()))}"):
        MagnitudeEMA(GROUPS, **options)
