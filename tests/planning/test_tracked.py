"""What trackers are told of a plan."""

import pytest

import limbeck
from limbeck.planning.tracked import facts_of, similarities
from tests.toys import loader, pair


@pytest.fixture(scope="module")
def plan():
    return limbeck.plan(*pair(), loader())


def test_facts_are_flat_and_hold_settings_terms_and_choices(plan):
    facts = facts_of(plan)
    assert (facts["recipe"], facts["training/weight_decay"]) == ("auto", 0.01)
    assert facts["feature/1"].startswith(f"{plan.terms[0].student} <- {plan.terms[0].teacher}: MSE() through ")
    assert {f"choice/{choice.name}" for choice in plan.choices} <= set(facts)
    assert not any(value is None or isinstance(value, dict) for value in facts.values())


def test_each_link_has_its_similarity(plan):
    rows = [
        [10.0 * row + column for column in range(len(plan.teacher_sites))] for row in range(len(plan.student_sites))
    ]
    found = similarities(plan, rows)
    places = [[spec.site for spec in specs] for specs in (plan.student_sites, plan.teacher_sites)]
    expected = [10.0 * places[0].index(each.student) + places[1].index(each.teacher) for each in plan.terms]
    assert list(found.values()) == expected
    assert next(iter(found)) == f"similarity/{plan.terms[0].student} from {plan.terms[0].teacher}"
    assert similarities(plan, []) == {}
