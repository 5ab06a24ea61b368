"""A run whose student starts with layers of its teacher."""

import copy
import os
import signal

import pytest
import torch
from torch.utils.data import DataLoader

import limbeck
from limbeck.distiller import Distiller
from limbeck.errors import ModelError, RecipeError, RunError
from limbeck.pipeline import Pipeline
from limbeck.training import Interrupted, SideBySide
from tests.integrations.berts import bert, sentences
from tests.toys import loader, pair


def batches(shuffle=True):
    def collate(rows):
        keys = ("input_ids", "attention_mask", "labels")
        return {key: torch.tensor([row[key] for row in rows]) for key in keys}

    return DataLoader(sentences(), batch_size=8, shuffle=shuffle, collate_fn=collate)


def berts():
    return bert(16, 6, seed=1), bert(16, 2)


def distill(teacher, student, **options):
    given = {"steps": 4, "lr": 0.01, "check_teacher": False, "progress": False, **options}
    return limbeck.distill(teacher, student, batches(), **given)


def same(one, other):
    return all(torch.equal(each, other[name]) for name, each in one.items())


@pytest.fixture
def first_student(monkeypatch):
    """The state of the student that the training began with."""
    seen = []
    fit = SideBySide.fit

    def watching(self, *arguments, **options):
        seen.append(copy.deepcopy(self.candidates[0].distiller.student.state_dict()))
        return fit(self, *arguments, **options)

    monkeypatch.setattr(SideBySide, "fit", watching)
    return seen


@pytest.mark.parametrize(
    ("which", "taken", "said"),
    [("first", (0, 1), "call"), ("spread", (0, 5), "recipe"), ("last", (4, 5), "plan")],
)
def test_at_the_first_step_the_students_layers_are_the_teachers(which, taken, said, first_student):
    teacher, student = berts()
    recipe = {"start": which}
    options = {"call": {"start": which}, "recipe": {"recipe": recipe}}
    report = distill(teacher, student, **options.get(said, {"plan": limbeck.plan(*berts(), batches(), recipe=recipe)}))
    for index, layer in enumerate(taken):
        theirs = teacher.bert.encoder.layer[layer].state_dict()
        assert all(torch.equal(first_student[0][f"bert.encoder.layer.{index}.{name}"], theirs[name]) for name in theirs)
    assert report.plan.start == which
    choice = next(each for each in report.plan.choices if each.name == "start")
    assert f"blocks taken: {which}" in choice.reason
    assert "| start |" in report.to_markdown()


def test_of_itself_a_student_starts_as_it_was_given(first_student):
    teacher, student = berts()
    before = copy.deepcopy(student.state_dict())
    report = distill(teacher, student)
    assert same(before, first_student[0])
    assert report.plan.start == "as-given"
    assert "start" not in [each.name for each in report.plan.choices]


def test_what_is_said_takes_the_place_of_the_recipes(first_student):
    teacher, student = berts()
    before = copy.deepcopy(student.state_dict())
    distill(teacher, student, recipe={"start": "first"}, start="as-given")
    assert same(before, first_student[0])


def test_a_plan_is_made_of_the_student_as_it_will_start_and_changes_nothing():
    teacher, student = berts()
    before = copy.deepcopy(student.state_dict())
    plan = limbeck.plan(teacher, student, batches(), recipe={"start": "last"})
    assert same(before, student.state_dict())
    assert plan.start == "last"
    assert "bert.encoder.layer.0 <- bert.encoder.layer.4" in str(
        next(c for c in plan.choices if c.name == "start").value
    )


def test_a_run_that_is_resumed_ends_as_an_uninterrupted_one(tmp_path, monkeypatch):
    whole = distill(*berts(), start="first", run_dir=tmp_path / "whole")
    step = Distiller.step

    def stopping(self):
        monkeypatch.undo()
        os.kill(os.getpid(), signal.SIGINT)
        step(self)

    monkeypatch.setattr(Distiller, "step", stopping)
    with pytest.raises(Interrupted):
        distill(*berts(), start="first", run_dir=tmp_path / "run")
    again = distill(*berts(), run_dir=tmp_path / "run", resume=True)
    assert [row["loss"] for row in again.history] == [row["loss"] for row in whole.history]
    assert same(whole.student.state_dict(), again.student.state_dict())
    assert again.before == whole.before
    assert again.plan.start == "first"


def test_a_run_is_not_resumed_with_another_start(tmp_path, monkeypatch):
    monkeypatch.setattr(Pipeline, "_teacher_score", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(Interrupted):
        distill(*berts(), start="first", run_dir=tmp_path / "run")
    monkeypatch.undo()
    with pytest.raises(RunError, match="start is first there and last now"):
        distill(*berts(), start="last", run_dir=tmp_path / "run", resume=True)
    with pytest.raises(RunError, match="the recipe's start"):
        distill(*berts(), recipe={"start": "last"}, run_dir=tmp_path / "run", resume=True)


def test_a_teacher_of_which_nothing_fits_is_refused_before_anything_runs():
    teacher, student = pair()
    with pytest.raises(ModelError, match="names and shapes agree"):
        limbeck.distill(teacher, student, loader(), start="first", progress=False)


def test_an_unknown_start_is_refused():
    with pytest.raises(RecipeError, match="as-given, spread, first, last. Found start='middle'"):
        distill(*berts(), start="middle")
    with pytest.raises(RecipeError, match="start"):
        limbeck.Recipe.load({"start": "middle"})
