import math

import pytest
import torch

from limbeck.balancers import LogSum, Uncertainty
from limbeck.errors import RecipeError

GROUPS = ("feature", "output")


def test_one_step_goes_down_the_gradient_of_the_published_objective():
    balancer, losses = Uncertainty(GROUPS, rate=0.1), torch.tensor([1.0, 0.2])
    s = torch.full((2,), -0.5, requires_grad=True)
    ((-s).exp() * losses / 2 + s / 2).sum().backward()  # Kendall et al. in the form of LibMTL
    balancer.step(losses)
    assert torch.allclose(balancer.log_variance, (s - 0.1 * s.grad).detach())


def test_starts_where_libmtl_does():
    assert Uncertainty(GROUPS)(torch.ones(2)).weights.tolist() == pytest.approx([math.exp(0.5) / 2] * 2)


def test_rests_at_half_of_what_the_logarithm_says():
    balancer, losses = Uncertainty(GROUPS, rate=0.1), torch.tensor([3.0, 0.25])
    for _ in range(500):
        balancer.step(losses)
    assert torch.allclose(balancer.log_variance.exp(), losses, rtol=1e-3)  # e^s = L
    assert torch.allclose(balancer(losses).weights, LogSum(GROUPS)(losses).weights / 2, rtol=1e-3)


def test_step_is_bounded_both_ways_and_so_is_the_weight():
    balancer = Uncertainty(GROUPS, rate=0.1)
    balancer.step(torch.tensor([1e6, 0.0]))
    assert balancer.log_variance.tolist() == pytest.approx([-0.45, -0.55])  # half of the rate
    for _ in range(1000):
        balancer.step(torch.tensor([1e6, 0.0]))
    assert balancer.log_variance.tolist() == [6.0, -6.0]


def test_loss_that_is_not_finite_moves_nothing():
    balancer = Uncertainty(GROUPS)
    balancer.step(torch.tensor([torch.nan, torch.inf]))
    assert balancer.log_variance.tolist() == [-0.5, -0.5]


def test_rate_out_of_range_is_refused():
    with pytest.raises(RecipeError, match="rate above 0"):
        Uncertainty(GROUPS, rate=0.0)
