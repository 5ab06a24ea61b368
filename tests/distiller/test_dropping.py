"""Members of a committee that are left out of a step."""

import itertools

import pytest
import torch
from torch import nn

from limbeck import balancers
from limbeck.batch import Batch
from limbeck.distiller import Distiller, Dropping, Term
from limbeck.errors import RecipeError
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE
from limbeck.outputs import CrossEntropy
from limbeck.teachers import Committee, Teacher
from tests.toys import Counting

NAMES = ("one", "two")


def kept(dropping, steps):
    return [dropping.factors(step) for step in range(steps)]


@pytest.mark.parametrize("members", [1, 2, 3, 5])
@pytest.mark.parametrize("probability", [0.0, 0.3, 0.5, 1.0])
def test_each_weight_is_kept_in_expectation_and_someone_stays(members, probability):
    dropping = Dropping(tuple("abcde"[:members]), probability)
    found = torch.tensor(kept(dropping, 4000))
    assert bool((found > 0).any(1).all())
    # Four standard errors of a mean of 4,000 draws that are 0 or 1 / P.
    error = 4 * ((1 / dropping.staying - 1) / 4000) ** 0.5 + 1e-6
    assert bool(((found.mean(0) - 1).abs() < error).all())


def test_how_likely_a_member_stays_is_what_all_outcomes_together_say():
    # Three members, each left out with .4; if all are, one of the three stays.
    staying = 0.0
    for out in itertools.product((False, True), repeat=3):
        probability = 1.0
        for each in out:
            probability *= 0.4 if each else 0.6
        staying += probability * (1 / 3 if all(out) else float(not out[0]))
    assert Dropping(("a", "b", "c"), 0.4).staying == pytest.approx(staying)


def test_a_draw_follows_from_seed_and_step_alone():
    dropping = Dropping(NAMES, 0.5)
    before = kept(dropping, 20)
    torch.manual_seed(7)
    assert kept(dropping, 20) == before
    assert kept(Dropping(NAMES, 0.5, seed=1), 20) != before


def test_what_is_no_probability_is_refused():
    with pytest.raises(RecipeError, match="Found 1.5 of \\['one', 'two'\\]"):
        Dropping(NAMES, 1.5)


def distiller(balancer="Fixed", probability=1.0):
    torch.manual_seed(0)
    student = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    links = [Link(FeatureSpec("0", "BC", 6), FeatureSpec(f"{name}.model.0", "BC", 6)) for name in NAMES]
    made = getattr(balancers, balancer)(["feature", "feature", "output"])
    terms = [Term(link, loss=MSE()) for link in links]
    dropping = Dropping(NAMES, probability)
    return Distiller(student, terms=terms, outputs=[CrossEntropy()], balancer=made, dropping=dropping)


def teachers():
    torch.manual_seed(1)
    return Committee({name: Counting(nn.Sequential(nn.Linear(4, 6), nn.ReLU())) for name in NAMES})


BATCH = Batch(torch.randn(8, 4), torch.randint(0, 3, (8,)))


def test_a_member_that_is_left_out_does_not_run_and_does_not_weigh():
    both, student = teachers(), distiller()
    sites, seen = [term.link.teacher for term in student.every_term], []
    with Teacher(both, sites, answers=False) as source:
        for step in range(6):
            out = student(BATCH, source(BATCH))
            factors = student.dropping.factors(step)
            torch.testing.assert_close(out.weights, torch.tensor([0.8 * factors[0], 0.8 * factors[1], 0.2]))
            assert [each > 0 for each in out.terms[:2].tolist()] == [each > 0 for each in factors]
            out.loss.backward()
            student.step()
            seen.append(factors)
    stayed = [sum(each[place] > 0 for each in seen) for place in range(2)]
    # Of the last one, as the checks of types in these tests look at the first of the features, which runs its member.
    assert both.members["two"].seen == 8 * stayed[1]
    assert stayed[0] + stayed[1] == 6


def test_all_members_count_when_the_student_is_judged():
    both, student = teachers(), distiller().eval()
    with Teacher(both, [term.link.teacher for term in student.every_term]) as source, torch.no_grad():
        out = student(BATCH, source(BATCH))
    assert bool((out.terms > 0).all())
    torch.testing.assert_close(out.weights, torch.tensor([0.8, 0.8, 0.2]))


@pytest.mark.parametrize("balancer", sorted(set(balancers.__all__) - {"Balancer"}))
def test_every_balancer_takes_steps_with_members_left_out(balancer):
    cls = getattr(balancers, balancer)
    both, student = teachers(), distiller(balancer)
    with Teacher(both, [term.link.teacher for term in student.every_term], answers=False) as source:
        for step in range(25):
            out = student(BATCH, source(BATCH))
            left_out = [each == 0 for each in student.dropping.factors(step)]
            assert all(weight == 0 for weight, out_of in zip(out.weights, left_out, strict=False) if out_of)
            # What a balancer reads is there in every step; otherwise nothing is computed.
            assert bool((out.terms[:2] > 0).all()) == cls.reads_losses
            assert bool(torch.isfinite(out.loss))
            out.loss.backward()
            student.step()


def test_processes_are_told_that_projectors_may_get_no_gradient():
    assert distiller().leaves_parameters_out
    assert not distiller(probability=0.0).leaves_parameters_out
