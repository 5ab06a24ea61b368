"""A job file has a key for every flag, and the recipe's own keys."""

import inspect

import pytest
import yaml

from limbeck.cli.distill import distill
from limbeck.cli.job import Job
from limbeck.errors import RecipeError

NAMES = {"teacher": "my:teacher", "student": "my:student", "data": "digits"}


def job(tmp_path, content, **flags):
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump({**NAMES, **content}))
    return Job.read(file, flags)


def test_every_flag_has_a_key():
    flags = set(inspect.signature(distill).parameters) - {"file"}
    singular = {name.removesuffix("s") if name.endswith("_options") else name for name in Job.model_fields}
    assert flags == singular


def test_hyphens_and_underscores_are_alike(tmp_path):
    one = job(tmp_path, {"run-dir": "runs/a", "check-teacher": False, "student-option": {"width": 4}, "batch-size": 8})
    other = job(
        tmp_path, {"run_dir": "runs/a", "check_teacher": False, "student_options": {"width": 4}, "batch_size": 8}
    )
    assert one == other
    assert (str(one.run_dir), one.check_teacher, one.student_options, one.batch_size) == (
        "runs/a", False, {"width": 4}, 8,
    )  # fmt: skip


def test_the_settings_of_the_training_are_read(tmp_path):
    found = job(
        tmp_path, {"steps": 7, "lr": "1e-3", "seed": 4, "precision": "no", "metric": "accuracy", "device": "cpu"}
    )
    assert found.settings == {"steps": 7, "epochs": None, "lr": 0.001, "seed": 4, "precision": "no"}
    assert found.planned_recipe.training.steps == 7


def test_a_flag_wins_and_takes_the_place_of_the_other_length(tmp_path):
    found = job(
        tmp_path, {"epochs": 3, "student_options": {"width": 4, "depth": 1}}, steps=5, student_options={"width": 6}
    )
    assert (found.steps, found.epochs) == (5, None)
    assert found.student_options == {"width": 6, "depth": 1}


def test_a_named_recipe_is_changed_only_in_what_the_file_says(tmp_path):
    found = job(tmp_path, {"recipe": "article", "training": {"steps": 3}, "features": [{"loss": "CKA"}]}).recipe
    assert found.balancer.options == {"feature": 0.8, "output": 0.2}
    assert found.training.steps == 3
    assert found.features[0].loss.kind == "CKA"


def test_the_reasons_of_a_named_recipe_stay_with_what_is_its_own(tmp_path):
    found = job(tmp_path, {"recipe": "article", "balancer": {"kind": "Fixed", "feature": 2}}).recipe
    assert found.reason("balancer") == "as recipe 'job' says"
    assert found.reason("schedule") == "the classic rule is constant"


def test_without_a_recipe_none_is_said(tmp_path):
    found = job(tmp_path, {})
    assert found.recipe is None
    assert found.planned_recipe.name == "auto"


def test_an_unknown_key_is_answered_with_the_nearest_and_with_all(tmp_path):
    with pytest.raises(RecipeError, match=r"job.yaml: 'stepz' is not a known key. Nearest: 'steps'.*run_dir.*balancer"):
        job(tmp_path, {"stepz": 3})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"teacher_options": [1]}, "teacher_options"),
        ({"steps": "many"}, "'steps'.*Found 'many'"),
        ({"lr": "fast"}, "'lr"),
        ({"import": "huber"}, "'import'|'modules'"),
        ({"recipe": "auto", "training": 3}, "'training'.*Found 3"),
        ({"recipe": "auto", "training": {"weight_decey": 3}}, "Nearest: 'weight_decay'"),
        ({"recipe": "auto", "training": {"steps": 2, "epochs": 2}}, "Give one of them"),
    ],
)
def test_a_value_of_another_kind_is_named(tmp_path, content, said):
    with pytest.raises(RecipeError, match=said):
        job(tmp_path, content)
