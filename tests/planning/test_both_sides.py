"""What either side passes through right before the loss: nothing unless it is said, and then it is seen in the plan."""

import pytest
import torch
from torch import nn

from limbeck.balancers import Fixed
from limbeck.batch import adapt_batch
from limbeck.distiller import Distiller, Term
from limbeck.errors import PlanMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.losses import MSE, SimilarityPreserving
from limbeck.planning import Pair, Plan, build
from limbeck.planning.edits import EDITED, mark_edits
from limbeck.planning.fitting import choose
from limbeck.recipe import Part, Recipe
from limbeck.targets import Centre, PoolVector, Standardise
from limbeck.teachers import Teacher
from tests.toys import loader, pair

MAP, SMALL = FeatureSpec("a", "BCHW", 3, 16, (4, 4)), FeatureSpec("b", "BCHW", 5, 4, (2, 2))
STUDENT, TEACHER = Feature(torch.rand(6, 16, 3), (4, 4)), Feature(torch.rand(6, 4, 5), (2, 2))


def planned(*features, **more):
    teacher, student = pair()
    looked = Pair.look(teacher, student, loader(), hold=False)
    return looked, looked.plan(Recipe.load({"features": list(features), **more}))


def test_both_sides_pass_through_it_in_order():
    term = Term(Link(MAP, SMALL), loss=SimilarityPreserving(), both=[PoolVector(), Centre()])
    pooled = [each.x.mean(1, keepdim=True) for each in (STUDENT, TEACHER)]
    mine, theirs = (Feature(each - each.mean(0)) for each in pooled)
    found = term({"a": STUDENT}, {"b": TEACHER})
    torch.testing.assert_close(found, SimilarityPreserving()(mine, theirs))
    published = Term(Link(MAP, SMALL), loss=SimilarityPreserving())({"a": STUDENT}, {"b": TEACHER})
    torch.testing.assert_close(published, SimilarityPreserving()(STUDENT, TEACHER))
    assert not torch.isclose(found, published)


def test_the_student_gets_a_gradient_through_it_and_half_precision_is_left_before_it():
    x = STUDENT.x.bfloat16().requires_grad_()
    term = Term(Link(MAP, SMALL), loss=SimilarityPreserving(), both=[Centre()])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = term({"a": STUDENT._replace(x=x)}, {"b": TEACHER})
    loss.backward()
    assert loss.dtype == torch.float32
    assert x.grad.abs().sum() > 0


def test_its_smallest_batch_is_the_terms():
    term = Term(Link(MAP, MAP), loss=MSE(), both=[Centre()])
    student = nn.ModuleDict({"a": nn.Identity()})
    assert Distiller(student, terms=[term], balancer=Fixed(["feature"])).minimum_batch == 2


def test_what_is_fitted_to_the_teacher_is_refused():
    with pytest.raises(PlanMismatch, match="fitted to the teacher"):
        Term(Link(MAP, MAP), loss=MSE(), both=[Standardise(3)])
    with pytest.raises(PlanMismatch, match="fitted to the teacher"):
        planned({"loss": "CKA", "both": ["Standardise"]})


def test_a_plan_says_it_keeps_it_and_takes_it_for_no_edit(tmp_path):
    looked, plan = planned({"loss": "PKT", "both": ["PoolVector", "Centre"]})
    assert "PKT() of PoolVector(), Centre()" in str(plan)
    plan.save(tmp_path / "plan.yaml")
    again = Plan.load(tmp_path / "plan.yaml")
    assert again == plan
    assert not any(term.reason == EDITED for term in mark_edits(again).terms)
    distiller = build(again, looked.student, total_steps=1)
    assert [type(each) for each in distiller.every_term[0].both] == [PoolVector, Centre]
    batch = adapt_batch(next(iter(loader())))
    with Teacher(looked.teacher, plan.teacher_sites) as source:
        assert torch.isfinite(distiller(batch, source(batch)).loss)
    distiller.close()


def test_what_makes_positions_agree_needs_no_projector_for_them():
    link, loss = Link(MAP, SMALL), Part(kind="FeatureGram")
    assert choose(link, loss).projector == Part(kind="Resample")
    assert choose(link, loss, both=[Part(kind="PoolVector")])[:2] == (None, ())
    assert choose(link, loss, both=[Part(kind="PoolGrid")])[:2] == (None, ())
    assert choose(link, loss, both=[Part(kind="Centre")]).projector == Part(kind="Resample")


def test_a_loss_of_channels_still_gets_its_projector():
    _, plan = planned({"loss": "MSE", "both": ["PoolVector"]})
    assert all(term.projector is not None for term in plan.terms)


def test_one_loss_prepared_in_two_ways_is_two_groups():
    both = [{"loss": "CKA", "both": ["Centre"]}, {"loss": "CKA"}]
    looked, plan = planned(*both, mapping="AllPairs", association="MinimumLink")
    distiller = build(plan, looked.student, total_steps=1)
    assert len(distiller.terms) == 2
    distiller.close()
