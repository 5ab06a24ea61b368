import pytest
import torch

from limbeck.balancers import LogSum
from limbeck.errors import RecipeError

GROUPS = ("feature", "output", "output")


def test_weights_are_one_over_the_losses():
    assert LogSum(GROUPS)(torch.tensor([4.0, 0.5, 100.0])).weights.tolist() == pytest.approx([0.25, 2.0, 0.01])


def test_gradient_is_that_of_the_sum_of_logarithms():
    losses = torch.tensor([4.0, 0.5, 100.0], requires_grad=True)
    (found,) = torch.autograd.grad(LogSum(GROUPS, shares=[1.0, 2.0, 0.5])(losses).total, losses)
    logarithms = (torch.tensor([1.0, 2.0, 0.5]) * losses.log()).sum()
    assert torch.allclose(found, torch.autograd.grad(logarithms, losses)[0], rtol=1e-5)  # shares times log L


def test_direction_is_that_of_the_geometric_mean():
    losses = torch.tensor([4.0, 0.5, 100.0], requires_grad=True)
    (found,) = torch.autograd.grad(LogSum(GROUPS)(losses).total, losses)
    (geometric,) = torch.autograd.grad(losses.prod() ** (1 / 3), losses)
    assert torch.cosine_similarity(found, geometric, dim=0).item() == pytest.approx(1.0)  # the geometric loss strategy


def test_loss_that_is_not_finite_stays_visible():
    assert LogSum(GROUPS)(torch.tensor([1.0, torch.inf, 1.0])).total == torch.inf
    assert LogSum(GROUPS)(torch.tensor([1.0, torch.nan, 1.0])).total.isnan()


def test_zero_loss_has_a_finite_weight():
    assert LogSum(GROUPS)(torch.tensor([0.0, 1.0, 1.0])).weights[0].item() == pytest.approx(1e8)  # one over eps


def test_eps_out_of_range_is_refused():
    with pytest.raises(RecipeError, match="eps above 0"):
        LogSum(GROUPS, eps=0.0)
