"""Ctrl-C says what there is and how to go on, at whatever moment it comes."""

import os
import signal
from functools import partial

import pytest
import torch

import limbeck
from limbeck.pipeline import Pipeline
from limbeck.planning import Pair
from limbeck.recipe import Recipe, Settings
from limbeck.search import rates
from limbeck.training import Candidate, Interrupted, SideBySide
from tests.toys import loader, pair


def distill(**options):
    given = {"steps": 6, "lr": 0.01, "check_teacher": False, "progress": False, **options}
    if "evaluations" in given:
        looks = {"evaluations": given.pop("evaluations")}
        given["recipe"] = Recipe.load("auto").model_copy(update={"training": Settings(**looks)})
    return limbeck.distill(*pair(), loader(), **given)


def stopping(monkeypatch, where, name):
    """The method stops once as if Ctrl-C were pressed there, and works from then on."""
    method = getattr(where, name)

    def stopped(*_, **__):
        monkeypatch.setattr(where, name, method)
        raise KeyboardInterrupt

    monkeypatch.setattr(where, name, stopped)


def test_while_planning_nothing_is_left_and_the_same_call_works(monkeypatch, tmp_path):
    stopping(monkeypatch, Pair, "dry_run")
    with pytest.raises(Interrupted, match=r"planned.*Nothing was saved.*same call"):
        distill(run_dir=tmp_path / "run")
    distill(run_dir=tmp_path / "run")


def test_while_the_rate_is_looked_for_the_run_goes_on_and_looks_again(monkeypatch, tmp_path):
    stopping(monkeypatch, rates, "width_rate")
    with pytest.raises(Interrupted, match=r"rate was being looked for.*resume=True"):
        distill(run_dir=tmp_path / "run", lr="auto")
    report = distill(run_dir=tmp_path / "run", lr="auto", resume=True)
    rate = next(each for each in report.plan.choices if each.name == "learning rate")
    assert "untrained" in rate.reason
    assert report.history.rows[0]["step"] == 1


def test_no_gradients_are_left_however_a_training_ends(monkeypatch):
    teacher, student = pair()
    options = {"steps": 4, "lr": 0.01, "check_teacher": False, "progress": False}
    limbeck.distill(teacher, student, loader(), **options)
    assert all(each.grad is None for each in student.parameters())
    after = []

    def stopped(candidate, *_):
        after.extend(each.grad is not None for each in candidate.distiller.student.parameters())
        raise KeyboardInterrupt

    monkeypatch.setattr(Candidate, "record", stopped)
    with pytest.raises(Interrupted):
        limbeck.distill(teacher, student, loader(), **options)
    assert any(after)
    assert all(each.grad is None for each in student.parameters())


@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_that_a_student_came_with_are_no_part_of_its_training(accumulate):
    recipe = Recipe.load("auto").model_copy(update={"training": Settings(accumulate=accumulate)})
    options = {"recipe": recipe, "steps": 2, "lr": 0.01, "check_teacher": False, "progress": False}
    found = []
    for left in (False, True):
        teacher, student = pair()
        student[0].requires_grad_(False)
        for each in student.parameters():
            each.grad = torch.ones_like(each) if left else None
        limbeck.distill(teacher, student, loader(), **options)
        found.append(student.state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_a_second_ctrl_c_in_training_says_how_to_go_on(monkeypatch, tmp_path):
    stopping(monkeypatch, Candidate, "step")
    with pytest.raises(Interrupted, match=r"being trained.*resume=True"):
        distill(run_dir=tmp_path / "run")
    assert distill(run_dir=tmp_path / "run", resume=True).history.rows[-1]["step"] == 6


def test_after_training_the_report_is_made_up_for(monkeypatch, tmp_path):
    stopping(monkeypatch, Pipeline, "_teacher_score")
    with pytest.raises(Interrupted, match=r"is trained.*resume=True"):
        distill(run_dir=tmp_path / "run")
    distill(run_dir=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "report.md").exists()


def test_a_resumed_run_keeps_the_reason_of_the_rate_it_found(monkeypatch, tmp_path):
    fit = SideBySide.fit

    def stopped(self, *given, **options):
        if self.candidates[0]._checkpoint is None:
            return fit(self, *given, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(SideBySide, "fit", stopped)
    with pytest.raises(Interrupted):
        distill(run_dir=tmp_path / "run", lr="auto")
    monkeypatch.undo()
    report = distill(run_dir=tmp_path / "run", lr="auto", resume=True)
    assert "best on validation" in next(each.reason for each in report.plan.choices if each.name == "learning rate")


def signalling(monkeypatch, where, name, *, at, kind=signal.SIGINT):
    """Call number ``at`` of the method sends a signal before it does its work."""
    method, calls = getattr(where, name), []

    def signalled(*given, **options):
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), kind)
        return method(*given, **options)

    monkeypatch.setattr(where, name, signalled)


def test_ctrl_c_in_the_last_look_of_the_training_loses_nothing(monkeypatch, tmp_path):
    whole = distill(evaluations=1)
    signalling(monkeypatch, Candidate, "judge", at=1)
    with pytest.raises(Interrupted, match=r"step 6 of 6.*resume=True"):
        distill(run_dir=tmp_path / "run", evaluations=1)
    monkeypatch.undo()
    resumed = distill(run_dir=tmp_path / "run", evaluations=1, resume=True)
    weights = resumed.student.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in whole.student.state_dict().items())
    assert resumed.evaluation == whole.evaluation


def test_the_end_of_a_jobs_time_is_taken_as_ctrl_c(monkeypatch, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    signalling(monkeypatch, Candidate, "step", at=3, kind=signal.SIGTERM)
    with pytest.raises(Interrupted, match=r"step 3 of 6.*resume=True"):
        distill(run_dir=tmp_path / "run")
    assert signal.getsignal(signal.SIGTERM) == before
    assert distill(run_dir=tmp_path / "run", resume=True).history.rows[-1]["step"] == 6


def test_checkpoints_do_not_wait_for_a_look_at_validation(monkeypatch, tmp_path):
    saved = []
    monkeypatch.setattr("limbeck.training.checkpoint.Checkpoint.save", lambda _, state: saved.append(state.step))
    monkeypatch.setattr("limbeck.training.candidate._TRAINED_TO_SAVED", 0)
    monkeypatch.setattr("limbeck.search.race.Candidate", partial(Candidate, save_every=0.0))
    distill(run_dir=tmp_path / "run", evaluations=1)
    assert saved == [1, 2, 3, 4, 5]


def test_a_run_stopped_before_its_first_checkpoint_goes_on_to_the_same_student(monkeypatch, tmp_path):
    whole = distill().student.state_dict()
    stopping(monkeypatch, SideBySide, "fit")
    with pytest.raises(Interrupted):
        distill(run_dir=tmp_path / "run")
    resumed = distill(run_dir=tmp_path / "run", resume=True).student.state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_saved_plan_gives_the_student_that_planning_gave(tmp_path):
    planned = distill()
    planned.plan.save(tmp_path / "plan.yaml")
    saved = distill(plan=tmp_path / "plan.yaml").student.state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in planned.student.state_dict().items())
