"""What trackers hear of histories, read back from where they wrote it."""

import pytest

from limbeck.training.following import Following
from limbeck.training.history import History
from tests.trackers import Noting, events


def row(step, loss=1.0):
    return {"step": step, "loss": loss, "terms": {"a <- b": loss / 2}}


def test_tensorboard_holds_every_number_of_every_row(tmp_path):
    following, history = Following(("tensorboard",), tmp_path, metric="accuracy"), History(tmp_path / "history.jsonl")
    following.follow(history, config={"recipe": "auto"}, first={"similarity/a from b": 0.25})
    history.add(**row(1, 2.0), validation=0.5)
    history.add(**row(7, 1.0))
    following.log(history, {"similarity/a from b": 0.75})
    following.close()
    assert events(tmp_path / "tensorboard") == {
        "loss": [(1, 2.0), (7, 1.0)],
        "term/a from b": [(1, 1.0), (7, 0.5)],
        "validation/accuracy": [(1, 0.5)],
        "similarity/a from b": [(0, 0.25), (7, 0.75)],
    }


def test_a_resumed_history_goes_on_where_its_checkpoint_was_with_no_row_twice(tmp_path):
    first, file = Following(("tensorboard",), tmp_path), tmp_path / "history.jsonl"
    history = History(file)
    first.follow(history, config={"recipe": "auto"}, first={"similarity/a": 0.25})
    for step in (1, 2, 4, 6):
        history.add(**row(step))
    first.close()
    resumed, again = Following(("tensorboard",), tmp_path), History.read(file)
    resumed.follow(again, config={"recipe": "auto"}, first={"similarity/a": 0.5})
    again.cut(3)
    for step in (4, 6, 8):
        again.add(**row(step, 0.5))
    resumed.close()
    found = events(tmp_path / "tensorboard")
    assert found["loss"] == [(1, 1.0), (2, 1.0), (4, 0.5), (6, 0.5), (8, 0.5)]
    assert found["similarity/a"] == [(0, 0.25)]
    assert len(list((tmp_path / "tensorboard").glob("*/hparams.yml"))) == 1


def test_a_history_that_was_complete_only_gets_what_was_missing(tmp_path):
    first, file = Following(("tensorboard",), tmp_path), tmp_path / "history.jsonl"
    history = History(file)
    first.follow(history, config={})
    history.add(**row(1))
    history.add(**row(5))
    first.close()
    resumed, again = Following(("tensorboard",), tmp_path), History.read(file)
    resumed.follow(again, config={})
    resumed.log(again, {"similarity/a": 0.5})
    resumed.close()
    found = events(tmp_path / "tensorboard")
    assert (found["loss"], found["similarity/a"]) == ([(1, 1.0), (5, 1.0)], [(5, 0.5)])


@pytest.fixture
def racing(tmp_path):
    rival = tmp_path / "race" / "labels"
    rival.mkdir(parents=True)
    return History(tmp_path / "history.jsonl"), History(rival / "history.jsonl")


def test_rivals_are_named_in_a_shared_run_and_have_a_tensorboard_of_their_own(tmp_path, racing):
    noting, (main, rival) = Noting(), racing
    following = Following((noting, "tensorboard"), tmp_path)
    following.follow(main, config={"lr": 0.1})
    following.follow(rival, config={"lr": 0.2}, rival="labels")
    main.add(step=1, loss=2.0)
    rival.add(step=1, loss=3.0)
    following.close()
    assert noting.config == {"lr": 0.1, "race/labels/lr": 0.2}
    assert noting.rows == [(1, {"loss": 2.0}), (1, {"race/labels/loss": 3.0})]
    assert noting.said == ["start", "finish"]
    assert events(tmp_path / "tensorboard")["loss"] == [(1, 2.0)]
    assert events(tmp_path / "race" / "labels" / "tensorboard")["loss"] == [(1, 3.0)]


def test_what_is_added_after_the_end_is_not_heard():
    noting, history = Noting(), History()
    following = Following((noting,), None)
    following.follow(history, config={})
    following.log(history, {})
    following.close()
    history.add(step=1, loss=1.0)
    assert noting.rows == []
    assert noting.said == []
