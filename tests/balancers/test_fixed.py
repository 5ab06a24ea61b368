import pytest
import torch

from limbeck.balancers import Fixed
from limbeck.errors import RecipeError

GROUPS = ("feature", "output", "feature")


def test_default_is_four_to_one():
    balanced = Fixed(GROUPS)(torch.tensor([1.0, 10.0, 2.0]))
    assert balanced.total.item() == pytest.approx(0.8 * 1 + 0.2 * 10 + 0.8 * 2)  # the formula
    assert balanced.weights.tolist() == pytest.approx([0.8, 0.2, 0.8])


def test_shares_and_strengths_multiply():
    balancer = Fixed(GROUPS, shares=[0.25, 1.0, 0.75], feature=10.0, output=1.0)
    balanced = balancer(torch.ones(3), torch.tensor([0.5, 1.0, 0.5]))
    assert balanced.weights.tolist() == pytest.approx([1.25, 1.0, 3.75])  # 10 * share * strength, 1 * 1 * 1
    assert balanced.total.item() == pytest.approx(6.0)


def test_loss_without_weight_may_be_infinite():
    losses = torch.tensor([1.0, torch.inf, 2.0], requires_grad=True)
    balanced = Fixed(GROUPS, feature=1.0, output=0.0)(losses)
    balanced.total.backward()
    assert balanced.total.item() == 3.0  # 1 + 2
    assert losses.grad.tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("groups", "options", "found"),
    [
        ((), {}, r"\[\]"),
        (("features",), {}, "features"),
        (GROUPS, {"shares": [1.0]}, r"\[1\.0\]"),
        (GROUPS, {"shares": [1.0, -1.0, 0.0]}, "-1"),
        (GROUPS, {"feature": -0.5}, r"-0\.5"),
        (GROUPS, {"output": float("inf")}, "inf"),
    ],
)
def test_what_does_not_fit_is_refused(groups, options, found):
    with pytest.raises(RecipeError, match=found):
        Fixed(groups, **options)
