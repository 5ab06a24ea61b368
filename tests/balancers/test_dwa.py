import math

import pytest
import torch

from limbeck.balancers import DWA
from limbeck.errors import RecipeError

GROUPS = ("feature", "output", "output")


def stepped(history, **options) -> list[float]:
    balancer = DWA(GROUPS, **options)
    for losses in history:
        balancer.step(torch.tensor(losses))
    return balancer(torch.ones(3)).weights.tolist()


def test_value_is_the_softmax_of_ratios_of_means():
    history = [[4.0, 1.0, 2.0], [8.0, 1.0, 2.0], [3.0, 2.0, 1.0], [3.0, 0.0, 1.0]]
    ratios = [3 / 6, 1 / 1, 1 / 2]  # means of the last two steps over means of the two before
    expected = [3 * math.exp(r / 2) / sum(math.exp(each / 2) for each in ratios) for r in ratios]
    assert stepped(history, every=2) == pytest.approx(expected)


def test_weights_are_one_until_two_stretches_are_over():
    history = [[4.0, 1.0, 2.0], [3.0, 1.0, 2.0], [2.0, 1.0, 2.0]]
    assert stepped(history, every=2) == pytest.approx([1.0] * 3)


def test_unit_of_a_loss_does_not_matter():
    history = [[4.0, 1.0, 2.0], [2.0, 1.0, 1.0]]
    other = [[4e3, 1.0, 2e-3], [2e3, 1.0, 1e-3]]
    assert stepped(history, every=1) == pytest.approx(stepped(other, every=1))  # ratios only


def test_loss_that_was_zero_or_not_finite_counts_as_steady():
    history = [[0.0, 1.0, torch.nan], [1.0, 1.0, 1.0]]
    assert stepped(history, every=1) == pytest.approx([1.0] * 3)


def test_sudden_rise_leaves_weight_for_the_others():
    assert min(stepped([[1.0, 1.0, 1.0], [1e9, 1.0, 1.0]], every=1)) > 0.01


@pytest.mark.parametrize("options", [{"temperature": 0.0}, {"every": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(RecipeError, match="DWA needs"):
        DWA(GROUPS, **options)


def test_value_by_hand():
    # Two losses halved, one stood still: e^(1/4), e^(1/4) and e^(1/2), times 3 over their sum.
    assert stepped([[4.0, 2.0, 1.0], [2.0, 1.0, 1.0]], every=1) == pytest.approx([0.9135, 0.9135, 1.1730], abs=1e-4)
