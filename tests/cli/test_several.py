"""Several teachers on the command line."""

from pathlib import Path

import pytest

import limbeck
from limbeck.cli.job import Job
from limbeck.cli.several import member_names, one_or_several, weights_of
from limbeck.errors import RecipeError
from tests.cli.typing_words import run

STUDENT = ("--student", "my.py:student", "--data", "my.py:data")
SEVERAL = (
    *("--teacher", "my.py:teacher", "--teacher-weights", "teacher.safetensors"),
    *("--teacher", "my.py:other_teacher", "--teacher-weights", "teacher.safetensors"),
)


@pytest.fixture
def both(place):
    factories = Path("my.py").read_text()
    Path("my.py").write_text(f"{factories}\ndef other_teacher():\n    return conv_net(8)\n")
    return place


def test_a_repeated_teacher_is_a_committee(both, capsys):
    assert run("plan", *SEVERAL, *STUDENT, "--teacher-drop", 0.25, "--out", "plan.yaml") == 0
    plan = limbeck.Plan.load("plan.yaml")
    assert (plan.teacher, plan.committee.drop) == ("my.py:teacher + my.py:other_teacher", 0.25)
    assert list(plan.committee.weights) == ["teacher", "other_teacher"]
    words = ("--plan", "plan.yaml", "--steps", 4, "--lr", 0.01, "--run-dir", "runs/a")
    assert run("distill", *SEVERAL, *STUDENT, *words) == 0
    assert "other_teacher" in Path("runs/a/plan.yaml").read_text()


def test_a_job_file_lists_them(both, capsys):
    Path("job.yaml").write_text(
        "teacher: ['my.py:teacher', 'my.py:other_teacher']\nteacher-weights: [teacher.safetensors, "
        "teacher.safetensors]\nteacher-drop: 0.5\nstudent: my.py:student\ndata: my.py:data\n"
    )
    assert run("plan", "job.yaml", "--out", "plan.yaml") == 0
    assert limbeck.Plan.load("plan.yaml").committee.drop == 0.5


def test_weights_for_some_of_the_teachers_are_refused(both, capsys):
    assert run("plan", *SEVERAL[:6], *STUDENT) == 2
    assert "Found 1 for the 2 teachers" in capsys.readouterr().err


def test_a_single_teacher_is_not_left_out(both, capsys):
    assert run("plan", *SEVERAL[:4], *STUDENT, "--teacher-drop", 0.5) == 2
    assert "Found drop 0.5 with one" in capsys.readouterr().err


def test_an_empty_list_of_teachers_is_none():
    with pytest.raises(RecipeError, match="Found no teacher"):
        Job.read(None, {"teacher": [], "student": "a:b", "data": "digits"})


def test_names_and_weights_stand_in_order():
    assert member_names(["a:x", "b:x", "timm:3d-net"]) == ["x_1", "x_2", "_3d_net"]
    assert weights_of(["a:x", "b:y"], None) == [None, None]
    assert one_or_several(["a:x"]) == "a:x"
