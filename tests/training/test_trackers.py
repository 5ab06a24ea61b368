"""Which trackers are asked for, and what a run of one does."""

from pathlib import Path

import pytest

from limbeck.errors import LimbeckError, RecipeError, RunError
from limbeck.training.tracker_run import TrackerRun, shared_run
from limbeck.training.trackers import trackers_for
from limbeck.training.tracking import scalars
from tests.trackers import Noting


@pytest.fixture
def installed(monkeypatch):
    """Says which trackers accelerate finds installed."""
    return lambda *names: monkeypatch.setattr("accelerate.tracking._available_trackers", list(names))


def test_tensorboard_is_used_where_it_is_installed_and_there_is_a_folder(installed):
    installed("tensorboard")
    assert trackers_for("auto", Path("run")) == ("tensorboard",)
    assert trackers_for("auto", None) == ()
    installed()
    assert trackers_for("auto", Path("run")) == ()


def test_several_may_be_asked_for_and_each_counts_once(installed):
    installed("tensorboard", "wandb")
    own = Noting()
    assert trackers_for(["wandb", own, "tensorboard", "wandb"], Path("run")) == ("wandb", own, "tensorboard")
    assert trackers_for("none", Path("run")) == trackers_for([], Path("run")) == ()


@pytest.mark.parametrize(
    ("name", "command"), [("wandb", "pip install wandb"), ("tensorboard", r"pip install 'limbeck\[track\]'")]
)
def test_a_tracker_that_is_not_installed_is_an_error_with_the_command_that_installs_it(installed, name, command):
    installed()
    with pytest.raises(LimbeckError, match=f"'{name}' needs its package.*{command}"):
        trackers_for(name, Path("run"))


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("tensorbord", "Nearest: 'tensorboard'"),
        ("all", "Found 'all'"),
        (["none", "wandb"], "Found 'none' among several"),
    ],
)
def test_an_unknown_tracker_is_an_error_that_names_the_nearest(installed, said, answer):
    installed("wandb")
    with pytest.raises(RecipeError, match=answer):
        trackers_for(said, None)


def test_a_tracker_that_writes_to_the_run_folder_needs_one(installed):
    installed("tensorboard")
    with pytest.raises(RunError, match=r"writes to the folder of the run. Found none. Give run_dir="):
        trackers_for("tensorboard", None)


def test_a_run_begins_with_its_first_number():
    tracker = Noting()
    run = shared_run(tracker, None)
    run.begin_with({"lr": 0.1, "loss": ["MSE"], "none": None}, {"similarity/a": 0.5})
    assert tracker.said == []
    run.log({"loss": 2.0}, step=1, reached=0)
    run.log({"loss": 1.0}, step=2, reached=0)
    run.finish()
    run.finish()
    assert tracker.config == {"lr": 0.1, "loss": "['MSE']"}
    assert tracker.rows == [(0, {"similarity/a": 0.5}), (1, {"loss": 2.0}), (2, {"loss": 1.0})]
    assert tracker.said == ["start", "finish"]


def test_a_run_without_numbers_never_begins():
    tracker = Noting()
    shared_run(tracker, None).finish()
    assert tracker.said == []


def test_a_tracker_that_cannot_begin_is_an_error_and_is_closed():
    tracker = Noting()
    tracker.store_init_configuration = lambda _: (_ for _ in ()).throw(ConnectionError("no server"))
    run = shared_run(tracker, None)
    with pytest.raises(RunError, match=r"'noting' must begin before the first step. Found: no server"):
        run.log({"loss": 1.0}, step=1, reached=0)
    run.finish()
    assert tracker.said == ["start", "finish"]


def test_a_tracker_that_fails_later_is_left_and_closed():
    tracker = Noting(fails_at=2)
    run = shared_run(tracker, None)
    run.log({"loss": 1.0}, step=1, reached=0)
    with pytest.warns(UserWarning, match=r"'noting' failed at step 2: the server is gone. The training goes on"):
        run.log({"loss": 1.0}, step=2, reached=1)
    run.log({"loss": 1.0}, step=3, reached=2)
    run.finish()
    assert tracker.rows == [(1, {"loss": 1.0})]
    assert tracker.said == ["start", "finish"]


def test_a_tracker_that_fails_at_its_end_hides_no_other_error():
    tracker = Noting()
    tracker.finish = lambda: (_ for _ in ()).throw(ConnectionError("gone"))
    run = TrackerRun("noting", lambda _: (tracker, False))
    run.log({"loss": 1.0}, step=1, reached=0)
    with pytest.warns(UserWarning, match="'noting' did not end well: gone"):
        run.finish()


def test_every_part_of_a_row_has_a_group():
    row = {"step": 3, "terms": {"a <- b": 1}, "weights": {"a <- b": 2}, "shares": {"a <- b": 0.25}, "validation": 0.5}
    assert scalars(row, metric="accuracy (top 1)") == {
        "step": 3.0, "term/a from b": 1.0, "weight/a from b": 2.0, "gradient_share/a from b": 0.25,
        "validation/accuracy _top 1_": 0.5,
    }  # fmt: skip
