"""A reason stands only beside what was chosen for it."""

import pytest
import torch
import yaml
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.planning import Plan
from limbeck.planning.edits import EDITED, mark_edits


def net(width):
    layers = (nn.Sequential(nn.Linear(4 if i == 0 else width, width), nn.ReLU()) for i in range(3))
    return nn.Sequential(*layers, nn.Linear(width, 2))


@pytest.fixture
def made():
    x = torch.randn(32, 4)
    data = DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=16)
    return limbeck.plan(net(16), net(8), data)


def edited(plan, path, edit):
    content = yaml.safe_load(plan.to_yaml())
    edit(content)
    path.write_text(yaml.safe_dump(content))
    return mark_edits(Plan.load(path))


def reasons(plan):
    return {choice.name: choice.reason for choice in plan.choices}


@pytest.mark.parametrize("recipe", ["auto", "article", "features-first", "balanced", "penultimate", "soft-labels"])
def test_a_plan_that_was_only_saved_keeps_every_reason(tmp_path, recipe):
    x = torch.randn(32, 4)
    data = DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=16)
    plan = limbeck.plan(net(16), net(8), data, recipe=recipe)
    again = edited(plan, tmp_path / "plan.yaml", dict.items)
    assert again.terms == plan.terms
    assert reasons(again) == reasons(plan)


def test_an_edited_term_loses_its_reason_and_the_others_keep_theirs(made, tmp_path):
    def edit(content):
        content["terms"][0]["loss"] = {"kind": "CKA"}

    plan = edited(made, tmp_path / "plan.yaml", edit)
    assert plan.terms[0].reason == EDITED
    assert [term.reason for term in plan.terms[1:]] == [term.reason for term in made.terms[1:]]
    assert reasons(plan) == reasons(made)


def test_a_link_that_is_taken_out_changes_the_choice_of_links_only(made, tmp_path):
    plan = edited(made, tmp_path / "plan.yaml", lambda content: content["terms"].pop(0))
    choice = next(choice for choice in plan.choices if choice.name == "mapping")
    assert choice.reason == EDITED
    assert choice.value == [f"{term.student} <- {term.teacher}" for term in plan.terms]
    assert [term.reason for term in plan.terms] == [term.reason for term in made.terms[1:]]


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("balance", lambda content: content["balancer"].update(feature=4)),
        ("schedule", lambda content: content.update(schedule={"kind": "WarmUp"})),
        ("output loss", lambda content: content["outputs"].pop()),
        ("optimizer", lambda content: content["training"].update(weight_decay=0.3)),
    ],
)
def test_an_edited_part_is_said_to_be_edited(made, tmp_path, name, edit):
    plan = edited(made, tmp_path / "plan.yaml", edit)
    assert {key for key, reason in reasons(plan).items() if reason == EDITED} == {name}
    assert mark_edits(plan) == plan


def test_a_memory_sized_by_the_data_is_chosen_and_no_edit(tmp_path):
    x = torch.randn(32, 4)
    data = DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=16)
    plan = limbeck.plan(net(16), net(8), data, recipe={"features": [{"loss": "CRD"}]})
    assert {term.loss.options["samples"] for term in plan.terms} == {32}
    assert "every sample" in reasons(plan)["remembered samples"]
    assert not any(term.reason == EDITED for term in edited(plan, tmp_path / "plan.yaml", lambda _: None).terms)

    def less(content):
        content["terms"][0]["loss"]["samples"] = 16

    first, *others = edited(plan, tmp_path / "plan.yaml", less).terms
    assert first.reason == EDITED
    assert not any(term.reason == EDITED for term in others)
