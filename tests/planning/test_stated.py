"""What the user states of sites reaches the model that it is about."""

import pytest
from torch import nn

import limbeck
from limbeck.errors import LayoutError, SiteError
from limbeck.planning.stated import stated_layouts, stated_sites
from tests.toys import conv_net, loader, pair


def small() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4))


def test_sites_of_one_side_are_considered_alone_and_the_other_side_is_found():
    teacher, student = pair()
    plan = limbeck.plan(teacher, student, loader(), sites={"student": ["5", "13:input"]})
    assert {term.student for term in plan.terms} == {"5", "13:input"}
    choice = next(each for each in plan.choices if each.name == "student sites")
    assert "named by the user" in choice.reason
    assert "named by the user" not in next(each for each in plan.choices if each.name == "teacher sites").reason


def test_training_follows_the_sites_too():
    teacher, student = pair()
    report = limbeck.distill(
        teacher, student, loader(), sites={"teacher": ["6"], "student": ["5"]}, steps=1, lr=0.01,
        check_teacher=False, progress=False,
    )  # fmt: skip
    assert [(term.student, term.teacher) for term in report.plan.terms] == [("5", "6")]


@pytest.mark.parametrize("sites", [{"pupil": ["5"]}, {"student": "5"}, {"student": []}])
def test_sites_of_no_side_or_without_names_are_refused(sites):
    with pytest.raises(SiteError, match=r"lists of names.*Found '(pupil|student)'.*Write sites="):
        stated_sites(sites)


def test_a_layout_is_about_the_models_that_have_such_a_site():
    # The student has no module of this name, which is no mistake.
    plan = limbeck.plan(conv_net(8), small(), loader(), layouts={"6": "BCHW"})
    assert plan.terms
    named = nn.Sequential()
    named.add_module("encoder", small())
    for models in ((named, small()), (small(), named)):
        with pytest.raises(LayoutError, match=r"'enocder', which is a module of neither model. Nearest: 'encoder"):
            stated_layouts({"enocder": "BCHW"}, *models)


def test_a_layout_can_be_about_one_side():
    teacher, student = conv_net(8), small()
    with pytest.raises(LayoutError, match="none of the sites"):
        limbeck.plan(teacher, student, loader(), layouts={"2": "BHCW"}, sites={"student": ["1", "3:input"]})
    plan = limbeck.plan(
        teacher, student, loader(), layouts={"teacher": {"2": "BCHW"}}, sites={"student": ["1", "3:input"]}
    )
    assert {term.student for term in plan.terms} <= {"1", "3:input"}
    with pytest.raises(LayoutError, match=r"sites for 'teacher' or 'student'. Found sites for 'pupil'"):
        stated_layouts({"pupil": {"2": "BCHW"}}, teacher, student)
