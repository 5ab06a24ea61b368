"""When gradients at the taps are measured, and what several processes make of it."""

import pytest
import torch
import torch.distributed as dist
from torch import nn

from limbeck.balancers import Fixed, TapNorm
from limbeck.balancers.family import TapNorms
from limbeck.batch import Batch
from limbeck.distiller import Distiller, Term
from limbeck.distiller.tap_norms import over_processes
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE
from limbeck.outputs import CrossEntropy

SITE = FeatureSpec("1", "BC", 4)
GIVEN = Batch(torch.randn(5, 6, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1]))


def distiller(*outputs, rho=1.0, seed=0):
    torch.manual_seed(seed)
    student = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    balancer = TapNorm(["feature", *["output" for _ in outputs]], rho=rho)
    return Distiller(student, terms=[Term(Link(SITE, SITE), loss=MSE())], outputs=outputs, balancer=balancer)


def teacher():
    return distiller(CrossEntropy(), seed=1).eval().read_student(GIVEN)


def test_a_measurement_is_taken_at_the_first_and_then_at_every_tenth_step():
    trained, counts = distiller(CrossEntropy()), []
    for _ in range(21):
        trained(GIVEN, teacher())
        trained.step()
        counts.append(int(trained.balancer.count[0]))
    assert counts == [1] * 10 + [2] * 10 + [3]


@pytest.mark.parametrize("gradients", [True, False])
def test_validation_measures_nothing(gradients):
    validated = distiller(CrossEntropy())
    with torch.set_grad_enabled(gradients):
        validated.train(not gradients)(GIVEN, teacher())
    validated.step()
    assert validated.balancer.count.tolist() == [0, 0]


def test_features_alone_are_balanced_without_a_measurement():
    alone = distiller(rho=2.0)
    for _ in range(2):
        weights = alone(GIVEN, teacher()).weights
        alone.step()
        assert weights.tolist() == [2.0]


def test_processes_weigh_by_the_mean_of_what_they_measured(monkeypatch):
    nan = float("nan")
    mine = TapNorms(*(torch.tensor([each, nan]) for each in (1.0, 2.0, 0.5)))
    others = torch.tensor([[5.0, 7.0], [3.0, nan], [6.0, nan], [-0.5, nan]])
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: tensor.add_(others))
    losses, norms = over_processes(torch.tensor([1.0, 3.0]), mine)
    assert losses.tolist() == [3.0, 5.0]
    assert [each[0].item() for each in norms] == [2.0, 4.0, 0.0]  # means of 1 and 3, 2 and 6, 0.5 and -0.5


def test_the_share_of_each_term_in_the_gradient_at_its_tap_is_known_once_it_was_measured():
    trained = distiller(CrossEntropy(), rho=3.0)
    weights = trained(GIVEN, teacher()).weights
    assert trained.gradient_shares(weights) == {}
    trained.step()
    # Features are weighed to pull three times as hard as the outputs, which do not yield as the two agree.
    weights = trained(GIVEN, teacher()).weights
    trained.step()
    agrees = trained.balancer.cosine[0] > 0
    outputs = 1.0 if agrees else weights[1].item()
    assert trained.gradient_shares(weights) == pytest.approx({trained.names[0]: 3 / (3 + outputs)}, rel=1e-4)


def test_a_balancer_that_measures_nothing_knows_no_shares():
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))
    term = Term(Link(SITE, SITE), loss=MSE())
    trained = Distiller(student, terms=[term], outputs=[CrossEntropy()], balancer=Fixed(["feature", "output"]))
    weights = trained(GIVEN, teacher()).weights
    trained.step()
    assert trained.gradient_shares(weights) == {}
