"""What is chosen automatically shows what else there was, with the numbers that decided."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.planning import Pair, Plan
from limbeck.recipe import Recipe
from tests.toys import loader, pair


def plan(recipe="auto", count=96):
    made = Pair.look(*pair(), loader(count), hold=False, show=False)
    return made, made.plan(Recipe.load(recipe), show=False)


def choice(plan, name):
    return next(each for each in plan.choices if each.name == name)


def test_a_mapping_by_depth_shows_how_far_apart_each_link_and_its_rivals_are(tmp_path):
    made, found = plan()
    shown = choice(found, "mapping")
    sites = (
        {spec.site: spec for spec in made.student_anatomy.specs},
        {spec.site: spec for spec in made.teacher_anatomy.specs},
    )
    assert set(shown.value) <= set(shown.candidates)
    assert len(shown.candidates) > len(shown.value)
    for link, number in shown.candidates.items():
        student, teacher = link.split(" <- ")
        assert number == pytest.approx(abs(sites[0][student].depth - sites[1][teacher].depth), abs=1e-3)
    assert "difference in relative depth" in shown.reason
    found.save(tmp_path / "plan.yaml")
    assert Plan.load(tmp_path / "plan.yaml") == found


def test_a_mapping_by_similarity_shows_the_scores_of_each_link_and_its_rivals():
    made, found = plan({"mapping": "BestMatch"})
    shown = choice(found, "mapping")
    scores = made._scores(found.recipe)
    for link, number in shown.candidates.items():
        student, teacher = link.split(" <- ")
        places = [
            [spec.site for spec in side.specs].index(site)
            for side, site in ((made.student_anatomy, student), (made.teacher_anatomy, teacher))
        ]
        assert number == pytest.approx(float(scores[places[0]][places[1]]), abs=1e-3)
    assert "the numbers are the similarity" in shown.reason


@pytest.mark.parametrize("mapping", ["HeadInput", "RandomOrder", "AllPairs"])
def test_a_mapping_that_decides_by_no_number_shows_none(mapping):
    assert not choice(plan({"mapping": mapping})[1], "mapping").candidates


def test_output_losses_that_the_number_of_labels_decides_show_both_with_their_rule():
    _, few = plan()
    shown = choice(few, "output loss")
    assert shown.candidates == {shown.value: "below 3000 labels", "1 x CrossEntropy()": "from 3000 labels on"}
    assert "96 labels" in shown.reason
    # What the recipe itself says was not chosen among anything.
    assert not choice(plan("soft-labels")[1], "output loss").candidates


def test_kinds_of_tasks_that_one_form_of_labels_could_be_show_what_decided():
    x = torch.randn(32, 1, 8, 8)
    data = DataLoader(TensorDataset(x, (torch.rand(32, 4) > 0.5).float()), batch_size=16)
    shown = choice(limbeck.plan(*pair(), data), "task")
    assert shown.value == "several labels at once"
    assert shown.candidates["several labels at once"] == "0 and 1 only"
    assert len(shown.candidates) == 3
    assert not choice(plan()[1], "task").candidates
