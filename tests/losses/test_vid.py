import math

import numpy as np
import pytest
import torch

from limbeck.context import Heads
from limbeck.errors import RecipeError, ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE, VID


def test_alpha_starts_where_the_official_code_starts_it():
    assert VID(3).alpha.tolist() == pytest.approx([4.99323] * 3, abs=1e-5)  # log(exp(5 - 1e-5) - 1)


def test_value_by_hand():
    student, teacher = Feature(torch.tensor([[[1.0, 2.0]]])), Feature(torch.tensor([[[4.0, 0.0]]]))
    # Variance 5: half of (9 / 5 + log 5) and of (4 / 5 + log 5), and their mean.
    assert VID(2)(student, teacher).item() == pytest.approx((13 / 5 + 2 * math.log(5)) / 4, rel=1e-5)


def test_value_by_the_density_of_the_normal_distribution():
    loss = VID(4)
    torch.nn.init.normal_(loss.alpha)
    student, teacher = torch.randn(3, 5, 4), torch.randn(3, 5, 4)
    variance = torch.log1p(loss.alpha.detach().exp()) + 1e-5
    density = torch.distributions.Normal(student, variance.sqrt()).log_prob(teacher)
    # The paper's bound without the constant of the density, a mean over all values.
    expected = -density.mean().item() - 0.5 * math.log(2 * math.pi)
    assert loss(Feature(student), Feature(teacher)).item() == pytest.approx(expected, rel=1e-4)


def test_at_the_best_variances_the_value_is_half_the_mean_logarithm_of_the_errors():
    student, teacher = torch.randn(64, 2, 3), torch.tensor([0.1, 1.0, 7.0]) * torch.randn(64, 2, 3)
    errors = (student - teacher).square().mean((0, 1)).cpu().numpy()
    loss = VID(3)
    with torch.no_grad():
        loss.alpha.copy_(torch.tensor(np.log(np.expm1(errors - 1e-5))))
    expected = 0.5 * (1 + np.log(errors).mean())  # derived: each channel gives (1 + log of its error) / 2
    assert loss(Feature(student), Feature(teacher)).item() == pytest.approx(expected, rel=1e-4)


def test_variances_learn():
    loss, optimizer = VID(2), None
    teacher = Feature(torch.tensor([1.0, 3.0]) * torch.randn(128, 1, 2))
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss(Feature(torch.zeros(128, 1, 2)), teacher).backward()
        optimizer.step()
    found = torch.nn.functional.softplus(loss.alpha)
    expected = teacher.x.square().mean((0, 1))  # a student of zeros errs by the teacher's own spread
    assert torch.allclose(found, expected, rtol=0.05)


def test_samples_average_to_the_value():
    student, teacher = Feature(torch.randn(4, 3, 2)), Feature(torch.randn(4, 3, 2))
    loss = VID(2)
    assert loss.samples(student, teacher).mean().item() == pytest.approx(loss(student, teacher).item(), rel=1e-5)


def test_sizes_come_from_the_link():
    link = Link(FeatureSpec("a", "BC", 8), FeatureSpec("b", "BC", 16))
    assert repr(VID.for_link(link, Heads(), variance=1.0)) == "VID(16, variance=1.0, eps=1e-05)"


def test_other_channels_are_refused():
    with pytest.raises(ShapeMismatch, match=r"VID was built for 3 channels of the teacher\. Found 4"):
        VID(3)(Feature(torch.ones(2, 1, 4)), Feature(torch.ones(2, 1, 4)))


def test_a_variance_below_eps_is_refused():
    with pytest.raises(RecipeError, match="variance=0"):
        VID(3, variance=0.0)


def test_a_channel_that_is_twice_as_large_adds_only_a_constant():
    # Scale-free: on the teacher's other scale the best value changes by log of the scale, its gradient's direction not.
    student, teacher = torch.zeros(8, 1, 2), torch.randn(8, 1, 2)
    small, large = VID(2, variance=1.0), VID(2, variance=100.0)
    once = small(Feature(student), Feature(teacher))
    tenfold = large(Feature(10 * student), Feature(10 * teacher))
    assert tenfold.item() - once.item() == pytest.approx(math.log(10), rel=1e-3)
    assert MSE()(Feature(10 * student), Feature(10 * teacher)) > 50 * MSE()(Feature(student), Feature(teacher))
