"""What is distilled without any option races against soft labels and the student alone."""

import json

import pytest
import torch
from torch import nn

import limbeck
from limbeck.search import race
from limbeck.search.gain import Prior
from limbeck.training import Candidate, Interrupted, SideBySide
from tests.toys import Counting, loader, pair, trained


@pytest.fixture(scope="module")
def teacher():
    return trained(pair()[0])


@pytest.fixture(scope="module")
def raced(teacher):
    """A race that the default wins."""
    return distill(teacher)


def distill(teacher, **options):
    given = {"steps": 12, "progress": False, "validation": loader(64, seed=5), **options}
    return limbeck.distill(teacher, pair()[1], loader(), **given)


def weights(report):
    return report.student.state_dict()


def same(one, other):
    return all(torch.equal(each, other[name]) for name, each in one.items())


def only(monkeypatch, name):
    """Take the recipe of that name for better, whatever the answers say."""
    monkeypatch.setattr(race, "chance_of_gain", lambda *_, **__: 0.0)
    priors = {name: Prior(1.0, 1.0)}
    monkeypatch.setattr(race, "PRIORS", priors)
    monkeypatch.setattr(race, "chance_of_gain", lambda _, prior, **__: 0.0 if prior is None else 1.0)


ALL = ["auto", "auto-3x-rate", "soft-labels", "labels"]


def test_all_are_reported_with_their_own_rates(raced):
    report = raced
    assert [each.name for each in report.standings] == ALL
    assert all(each.rate > 0 and each.evaluation is not None for each in report.standings)
    assert report.standings[1].rate == pytest.approx(3 * report.standings[0].rate, rel=0.05)
    assert [each.chance is None for each in report.standings] == [True, True, False, False]
    assert all(0 <= each.chance <= 1 for each in report.standings[2:])
    assert "side by side" in report.verdict
    assert "## Race" in report.to_markdown()
    assert [each["name"] for each in json.loads(report.to_json())["race"]] == ALL


def test_of_the_defaults_rates_the_one_that_validates_best_leads(raced):
    one, three = raced.standings[:2]
    best = max(one, three, key=lambda each: (each.evaluation.metric, -each.evaluation.loss))
    rate = next(each for each in raced.plan.choices if each.name == "learning rate")
    assert raced.plan.training.lr == rate.value == best.rate
    assert set(rate.candidates) == {str(one.rate), str(three.rate)}


def test_the_default_is_what_it_would_be_alone(teacher, raced):
    alone = distill(teacher, recipe="auto", lr=raced.plan.training.lr)
    assert raced.plan.recipe.name.startswith("auto")
    assert not alone.standings
    assert same(weights(raced), weights(alone))


@pytest.mark.parametrize("name", ["soft-labels", "labels"])
def test_a_winning_rival_is_what_it_would_be_alone_and_the_result(teacher, name, monkeypatch, tmp_path):
    only(monkeypatch, name)
    raced = distill(teacher, run_dir=tmp_path / "run")
    alone = distill(teacher, recipe=name, lr=raced.plan.training.lr)
    assert raced.plan.recipe.name == name
    assert next(each for each in raced.plan.choices if each.name == "recipe").value == name
    assert same(weights(raced), weights(alone))
    assert raced.evaluation == alone.evaluation
    assert [row["loss"] for row in raced.history] == [row["loss"] for row in alone.history]
    # The folder is that of the winner; what the default came to stands beside it.
    assert limbeck.Plan.load(tmp_path / "run" / "plan.yaml").recipe.name == name
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [row["loss"] for row in raced.history]
    assert (tmp_path / "run" / "race" / "auto" / "history.jsonl").is_file()
    assert same(weights(raced), limbeck.load(tmp_path / "run", student=pair()[1]).state_dict())


def test_all_share_one_forward_of_the_teacher_a_batch(teacher, monkeypatch):
    counted, seen = Counting(teacher), []
    fit = SideBySide.fit

    def counting(self, *arguments, **options):
        before = counted.seen
        found = fit(self, *arguments, **options)
        seen.append(counted.seen - before)
        return found

    monkeypatch.setattr(SideBySide, "fit", counting)
    distill(counted, recipe="auto", lr=0.01)
    distill(counted)
    assert seen[-1] == seen[0] > 0


@pytest.mark.parametrize("won", ["auto", "soft-labels"])
def test_a_race_that_is_stopped_goes_on_to_the_same_end(teacher, raced, won, monkeypatch, tmp_path):
    whole = raced
    if won != "auto":
        only(monkeypatch, won)
        whole = distill(teacher)
    step, made = Candidate.step, []

    def stopping(self, *arguments):
        made.append(self)
        # The third one's seventh step: those before it are one ahead.
        if [*dict.fromkeys(made)].index(self) == 2 and sum(each is self for each in made) == 7:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(race, "Candidate", lambda *a, **k: Candidate(*a, **{**k, "save_every": 0.0}))
        patch.setattr(Candidate, "step", stopping)
        with pytest.raises(Interrupted, match="resume=True"):
            distill(teacher, run_dir=tmp_path / "run")
    again = distill(teacher, run_dir=tmp_path / "run", resume=True)
    assert again.plan.recipe.name == won
    assert same(weights(whole), weights(again))
    assert [each.evaluation for each in whole.standings] == [each.evaluation for each in again.standings]
    assert [row["loss"] for row in whole.history] == [row["loss"] for row in again.history]
    assert not list((tmp_path / "run").rglob("checkpoint"))


def test_where_the_default_diverges_the_best_of_the_others_is_the_result(teacher, monkeypatch):
    terms = limbeck.Distiller.forward

    def infinite(self, *arguments, **options):
        out = terms(self, *arguments, **options)
        return out._replace(loss=out.loss * float("inf")) if len(self.terms) and self.total_steps == 40 else out

    monkeypatch.setattr(limbeck.Distiller, "forward", infinite)
    report = distill(teacher, steps=40)  # the short runs are of 20
    assert report.standings[0].evaluation is None
    assert report.plan.recipe.name in {"soft-labels", "labels"}
    assert "infinite or NaN" in report.verdict


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"recipe": "auto", "lr": 0.01}, "recipe or the plan was given"),
        ({"search": False}, "search was switched off"),
        ({"lr": 0.01}, "rate was given"),
        ({"optimizer": lambda groups: torch.optim.SGD(groups, lr=0.01)}, "optimizer's own rates"),
        ({"task_loss": nn.functional.cross_entropy, "budget": 1.0}, "loss of the labels is your own"),
    ],
)
def test_where_nothing_races_the_reason_is_said(teacher, options, reason):
    report = distill(teacher, **options)
    assert not report.standings
    said = next(each for each in report.plan.choices if each.name == "rivals")
    assert said.value == "none"
    assert reason in said.reason


def test_students_that_would_not_fit_into_memory_do_not_race(teacher, monkeypatch):
    monkeypatch.setattr("limbeck.search.entering._MOST_BYTES", 10)
    report = distill(teacher)
    assert not report.standings
    assert "GB" in next(each for each in report.plan.choices if each.name == "rivals").reason
