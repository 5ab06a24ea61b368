"""Ctrl-C says what there is and how to go on, at whatever moment it comes."""

from functools import partial

import pytest

import limbeck
from limbeck.pipeline import Pipeline
from limbeck.planning import Pair
from limbeck.search.rates import RateSearch
from limbeck.training import Candidate, Interrupted, Trainer
from tests.toys import loader, pair


@pytest.fixture(autouse=True)
def _few_rates():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("limbeck.pipeline.RateSearch", partial(RateSearch, grid=(1e-3, 1e-2)))
        yield


def distill(**options):
    given = {"steps": 6, "lr": 0.01, "check_teacher": False, "progress": False, **options}
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


@pytest.mark.parametrize("moment", [(Candidate, "step"), (RateSearch, "short")])
def test_while_searching_the_run_goes_on_and_searches_again(monkeypatch, tmp_path, moment):
    if moment[1] == "short":
        monkeypatch.setattr(RateSearch, "__call__", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    else:
        stopping(monkeypatch, *moment)
    with pytest.raises(Interrupted, match=r"rate was .*search.*resume=True"):
        distill(run_dir=tmp_path / "run", lr="auto")
    monkeypatch.undo()
    report = distill(run_dir=tmp_path / "run", lr="auto", resume=True)
    rate = next(each for each in report.plan.choices if each.name == "learning rate")
    assert len(rate.candidates) == 2
    assert report.history.rows[0]["step"] == 1


def test_while_searching_without_a_folder_the_same_call_is_advised(monkeypatch):
    stopping(monkeypatch, Candidate, "step")
    with pytest.raises(Interrupted, match=r"not trained yet.*same call"):
        distill(lr="auto")


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
    fit = Trainer.fit

    def stopped(self, *given, **options):
        if self.label is None and self._checkpoint is None:
            return fit(self, *given, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "fit", stopped)
    with pytest.raises(Interrupted):
        distill(run_dir=tmp_path / "run", lr="auto")
    monkeypatch.undo()
    report = distill(run_dir=tmp_path / "run", lr="auto", resume=True)
    assert "best on validation" in next(each.reason for each in report.plan.choices if each.name == "learning rate")
