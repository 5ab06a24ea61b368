"""Distillations with trackers: every row arrives, whatever becomes of the run, and a resumed run goes on."""

import json

import pytest
import torch

import limbeck
from limbeck.batch import Batch
from limbeck.errors import LimbeckError
from limbeck.planning import Pair
from limbeck.recording import Recording
from limbeck.report.report import Report
from limbeck.training import Candidate, Diverged, Interrupted
from limbeck.training.checkpoint import Checkpoint
from limbeck.training.history import History
from limbeck.training.tracking import scalars
from tests.toys import loader, pair
from tests.trackers import Noting, events


def distill(**options):
    given = {"steps": 6, "lr": 0.01, "check_teacher": False, "progress": False, **options}
    return limbeck.distill(*pair(), loader(), **given)


def heard(run_dir):
    """What TensorBoard has, less what is no part of a row."""
    return {name: steps for name, steps in events(run_dir / "tensorboard").items() if "similarity" not in name}


def written(run_dir):
    """What the history has, by name and step."""
    found = {}
    for row in History.read(run_dir / "history.jsonl"):
        for name, value in scalars(row, metric="accuracy").items():
            found.setdefault(name, []).append((row["step"], pytest.approx(value, rel=1e-6)))
    del found["step"]
    return found


def test_tensorboard_holds_the_rows_of_the_history_without_being_asked(tmp_path):
    report = distill(run_dir=tmp_path / "run")
    assert heard(tmp_path / "run") == written(tmp_path / "run")
    alike = [steps for name, steps in events(tmp_path / "run" / "tensorboard").items() if "similarity" in name]
    assert [[step for step, _ in steps] for steps in alike] == [[0, 6]] * len(report.plan.terms)


def test_a_run_that_stopped_goes_on_in_the_same_place_as_if_it_had_not(tmp_path, monkeypatch):
    run = tmp_path / "run"
    distill(run_dir=tmp_path / "whole")
    monkeypatch.setattr(Candidate, "due", property(lambda each: each.state.step == 3))
    save, saved = Checkpoint.save, []

    def stopping(checkpoint, state):
        if not saved:
            save(checkpoint, state)
        saved.append(state.step)

    step = Candidate.step

    def killed(candidate, batch, captured):
        if candidate.state.step == 5:
            raise RuntimeError("killed")
        return step(candidate, batch, captured)

    monkeypatch.setattr(Checkpoint, "save", stopping)
    monkeypatch.setattr(Candidate, "step", killed)
    with pytest.raises(RuntimeError, match="killed"):
        distill(run_dir=run)
    assert heard(run)["loss"][-1][0] == 5  # two steps further than the checkpoint
    monkeypatch.undo()
    distill(run_dir=run, resume=True)
    assert heard(run) == written(run)
    times = {"seconds"}
    assert {key: value for key, value in heard(run).items() if key not in times} == {
        key: value for key, value in heard(tmp_path / "whole").items() if key not in times
    }


def test_a_race_is_one_run_with_the_rivals_by_name():
    noting = Noting()
    report = limbeck.distill(
        *pair(), loader(), validation=loader(32, 1), steps=4, check_teacher=False, progress=False, tracker=noting
    )
    rivals = {each.name for each in report.standings[1:]}
    assert rivals
    names = {name for _, values in noting.rows for name in values}
    assert {name.split("/")[1] for name in names if name.startswith("race/")} == rivals
    assert {"loss", *(f"race/{rival}/loss" for rival in rivals)} <= names
    assert noting.config["training/lr"] == report.standings[0].rate
    assert noting.said == ["start", "finish"]


@pytest.mark.parametrize(
    ("stop", "error"), [(KeyboardInterrupt, Interrupted), (Diverged("no"), Diverged), (OSError("full"), OSError)]
)
def test_a_tracker_is_closed_whatever_ends_the_training(monkeypatch, stop, error):
    noting, judge = Noting(), Candidate.judge

    def stopped(candidate, found):
        if candidate.state.step == 4:
            raise stop
        judge(candidate, found)

    monkeypatch.setattr(Candidate, "judge", stopped)
    with pytest.raises(error):
        distill(tracker=noting)
    assert [step for step, _ in noting.rows if step] == [1, 2, 3]
    assert noting.said == ["start", "finish"]


def test_what_is_not_installed_is_said_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr("accelerate.tracking._available_trackers", [])
    monkeypatch.setattr(Pair, "look", lambda *_, **__: pytest.fail("computed"))
    with pytest.raises(LimbeckError, match="pip install mlflow"):
        distill(tracker="mlflow")


def test_nothing_is_tracked_if_that_is_asked_for_and_a_resumed_run_remembers_it(tmp_path):
    run = tmp_path / "run"
    distill(run_dir=run, tracker="none")
    facts = json.loads((run / "run.json").read_text())
    assert facts["tracker"] == []
    (run / "run.json").write_text(json.dumps({**facts, "state": "running"}))
    distill(run_dir=run, resume=True)
    assert not (run / "tensorboard").exists()


def test_only_the_process_that_writes_tracks():
    noting = Noting()
    plan = limbeck.plan(*pair(), loader())
    for writes, rows in ((False, 0), (True, 1)):
        record = Recording(None, writes=writes, trackers=(noting,))
        (history,) = record.plans([plan], resume=False)
        history.add(step=1, loss=1.0)
        record.close()
        assert len(noting.rows) == rows


def test_similarity_is_logged_before_and_after_and_validation_by_the_name_of_its_metric():
    noting = Noting()
    plan = limbeck.plan(*pair(), loader())
    sites = len(plan.student_sites), len(plan.teacher_sites)
    before, after = ([[value] * sites[1]] * sites[0] for value in (0.25, 0.75))
    record = Recording(None, writes=True, trackers=(noting,))
    record.begin(plan, Batch(torch.zeros(1)), {}, metric="accuracy", before=before)
    (history,) = record.plans([plan], resume=False)
    history.add(step=1, loss=1.0, validation=0.5)
    record.finish(Report(pair()[1], plan, history, None, after=after))
    name = f"similarity/{plan.terms[0].student} from {plan.terms[0].teacher}"
    assert [(step, values[name]) for step, values in noting.rows if name in values] == [(0, 0.25), (1, 0.75)]
    assert noting.rows[1] == (1, {"loss": 1.0, "validation/accuracy": 0.5})
