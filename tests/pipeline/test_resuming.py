"""Recipe, plan and settings: one of them counts, and a run goes on only as it was begun."""

import json

import pytest
from torch import nn

import limbeck
from limbeck.errors import RecipeError, RunError
from tests.toys import loader, pair


def distill(**options):
    return limbeck.distill(*pair(), loader(), **{"lr": 0.01, "check_teacher": False, "progress": False, **options})


@pytest.fixture
def begun(tmp_path):
    """The folder of a run that was stopped just before its end."""
    distill(steps=3, run_dir=tmp_path / "run", recipe="article")
    facts = tmp_path / "run" / "run.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "state": "running"}))
    return tmp_path / "run"


def test_a_recipe_beside_a_plan_is_refused():
    plan = limbeck.plan(*pair(), loader())
    with pytest.raises(RecipeError, match="made from \\('auto'\\). Found the recipe 'article' beside it"):
        distill(plan=plan, recipe="article", steps=2)


def test_epochs_that_are_given_take_the_place_of_the_steps_of_a_plan():
    plan = limbeck.plan(*pair(), loader(), recipe={"training": {"steps": 50}})
    report = distill(plan=plan, epochs=1)
    assert (report.plan.training.steps, report.plan.training.epochs) == (None, 1)
    assert report.history.rows[-1]["step"] < 10


def test_resuming_needs_a_folder_with_a_run(tmp_path):
    with pytest.raises(RunError, match="Give run_dir="):
        distill(steps=2, resume=True)
    with pytest.raises(RunError, match="no run to resume"):
        distill(steps=2, resume=True, run_dir=tmp_path / "none")


def test_what_the_run_was_begun_with_need_not_be_given_again(begun):
    again = limbeck.distill(*pair(), loader(), run_dir=begun, resume=True, check_teacher=False, progress=False)
    assert again.plan.recipe.name == "article"
    assert again.plan.training.steps == 3
    assert json.loads((begun / "run.json").read_text())["state"] == "finished"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"steps": 9}, "steps is 3 there and 9 now"),
        ({"lr": 0.1}, "lr is 0.01 there and 0.1 now"),
        ({"recipe": "auto"}, "the recipe's balancer"),
    ],
)
def test_other_settings_or_another_recipe_are_refused_by_name(begun, options, said):
    with pytest.raises(RunError, match=said):
        distill(run_dir=begun, resume=True, **options)


def test_another_plan_is_refused_and_the_same_is_not(begun):
    same = limbeck.Plan.load(begun / "plan.yaml")
    other = same.model_copy(update={"terms": same.terms[1:]})
    with pytest.raises(RunError, match="the plan's terms"):
        distill(run_dir=begun, resume=True, plan=other)
    assert distill(run_dir=begun, resume=True, plan=same).plan.terms == same.terms


def test_a_plan_with_a_task_loss_is_the_same_when_it_is_given_again(tmp_path):
    options = {"task_loss": nn.functional.cross_entropy, "run_dir": tmp_path / "own"}
    plan = limbeck.plan(*pair(), loader())
    report = distill(plan=plan, steps=2, **options)
    choice = next(choice for choice in report.plan.choices if choice.name == "output loss")
    assert "Given" in choice.value
    facts = tmp_path / "own" / "run.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "state": "running"}))
    again = distill(plan=plan, resume=True, **options)
    assert next(each for each in again.plan.choices if each.name == "output loss") == choice
