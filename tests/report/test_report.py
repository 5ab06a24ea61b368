"""What a report says."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.choice import Choice
from limbeck.report import Report
from limbeck.training.evaluation import Evaluation
from limbeck.training.history import History


def net(width):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))


def plan(recipe="auto"):
    x = torch.randn(32, 4)
    return limbeck.plan(
        net(16), net(8), DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=16), recipe=recipe
    )


def report(made, errors=(), **options):
    terms = {f"{term.student} <- {term.teacher}": error for term, error in zip(made.terms, errors, strict=False)}
    history = History(rows=[{"step": 5, "loss": 1.0, "lr": 0.1, "terms": terms}])
    return Report(net(8), made, history, **{"evaluation": Evaluation(0.75, 1.0, 8), "metric": "accuracy", **options})


def test_the_verdict_says_how_far_the_student_came():
    made = plan()
    said = report(made, [0.2, 0.5], teacher_score=0.9, comparisons=["soft-labels", "labels"]).verdict
    assert "On validation, accuracy is 0.7500, the teacher's 0.9000 (judged on 8 answers)." in said
    assert "mean squared error is 0.20 to 0.50" in said
    assert "train the same student with recipe='soft-labels' and with recipe='labels'" in said
    assert "train the same student" not in report(made, [0.2, 0.5]).verdict


def test_links_on_which_nothing_was_learnt_are_named():
    made = plan()
    dead = f"{made.terms[0].student} <- {made.terms[0].teacher}"
    assert f"Nothing is explained at {dead}: take these links out" in report(made, [0.99, 0.5]).verdict


def test_without_validation_it_says_so():
    assert "No validation data" in report(plan(), evaluation=None).verdict


def test_a_student_without_features_is_not_told_to_compare_features():
    assert "features" not in report(plan("labels"), comparisons=["labels"]).verdict


def test_what_was_planned_anew_is_shown():
    made = plan()
    assert "Planned anew" not in report(made).to_markdown()
    changed = made.with_choices(Choice("re-planned", ["- link a", "+ link b"], "the saved plan no longer fitted"))
    assert "## Planned anew\n\n```diff\n- link a\n+ link b\n```" in report(changed).to_markdown()
