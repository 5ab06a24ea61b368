"""Which rate each parameter group has."""

import pytest
import torch
from torch import nn

import limbeck
from limbeck.balancers import Fixed
from limbeck.distiller import Distiller
from limbeck.errors import RecipeError
from limbeck.outputs import CrossEntropy
from limbeck.recipe import Settings
from limbeck.training.optimizers import make_optimizer
from tests.toys import loader, pair


def distiller():
    return Distiller(nn.Linear(4, 3), outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))


def test_the_rates_of_an_optimizer_of_ones_own_stand():
    found = make_optimizer(distiller(), Settings(), None, lambda groups: torch.optim.SGD(groups, lr=0.5))
    assert [group["lr"] for group in found.param_groups] == [0.5, 0.5]
    given = make_optimizer(distiller(), Settings(), 0.1, lambda groups: torch.optim.SGD(groups, lr=0.5))
    assert [group["lr"] for group in given.param_groups] == [0.1, 0.1]


def test_what_is_no_optimizer_is_refused():
    with pytest.raises(RecipeError, match=r"gave a list.*torch\.optim\.SGD"):
        make_optimizer(distiller(), Settings(), None, lambda groups: list(groups))


def distill(**options):
    made = []

    def own(groups):
        made.append(torch.optim.SGD(groups, lr=0.25, momentum=0.9))
        return made[-1]

    given = {"steps": 10, "check_teacher": False, "progress": False, "optimizer": own, **options}
    report = limbeck.distill(*pair(), loader(), **given)
    assert len(made) == 1
    rate = next(each for each in report.plan.choices if each.name == "learning rate")
    return rate, max(lr for _, lr in report.history.column("lr"))


def test_warm_up_and_decay_multiply_the_optimizers_own_rate_which_is_not_searched():
    rate, highest = distill()
    assert highest == 0.25
    assert rate.value == "the optimizer's own"


def test_a_rate_that_is_given_goes_before_the_optimizers_own():
    rate, highest = distill(lr=0.01)
    assert highest == 0.01
    assert rate.value == 0.01


@pytest.mark.parametrize("name", ["LBFGS", "SparseAdam", "Optimizer", "AdamX"])
def test_an_optimizer_that_cannot_be_stepped_so_is_refused_by_name(name):
    with pytest.raises(RecipeError, match=f"Found '{name}'. (Nearest|Known)"):
        make_optimizer(distiller(), Settings(optimizer=name), 0.1)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_an_optimizer_that_refuses_the_parameters_is_said():
    with pytest.raises(RecipeError, match="Muon must take the student's matrices.*Use AdamW"):
        make_optimizer(distiller(), Settings(optimizer="Muon"), 0.1)
