"""The command line, as a person types it."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_model

import limbeck
from tests.cli.typing_words import PAIR, run
from tests.toys import conv_net


def test_help_teaches_every_command(capsys):
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for word in ("inspect", "new", "plan", "distill", "export", "recipes", "demo", "runs its code"):
        assert word in shown
    for command in ("inspect", "new", "plan", "distill", "export"):
        assert run(command, "--help") == 0
        assert "Example" in capsys.readouterr().out


def test_plan_edit_distill_load_export(place, capsys):
    assert run("plan", *PAIR, "--out", "plan.yaml") == 0
    shown = capsys.readouterr().out
    assert "SameDepth" in shown
    assert "extra parameters" in shown
    content = yaml.safe_load(Path("plan.yaml").read_text())
    content["balancer"] = {"kind": "Fixed", "feature": 3, "output": 1}
    Path("plan.yaml").write_text(yaml.safe_dump(content))
    assert run("distill", *PAIR, "--plan", "plan.yaml", "--steps", 60, "--lr", 0.02, "--run-dir", "runs/a") == 0
    shown = capsys.readouterr().out
    assert "runs/a/report.md" in shown
    following = shlex.split(next(line for line in shown.splitlines() if line.startswith("Next: ")))
    assert following == ["Next:", "limbeck", "export", "runs/a", "--to", "onnx", "--student", "my.py:student"]
    assert run("export", "runs/a") == 2
    assert "--student my.py:student" in capsys.readouterr().err
    history = [json.loads(line) for line in Path("runs/a/history.jsonl").read_text().splitlines()]
    assert set(history[-1]["weights"].values()) == {3.0, 0.5}
    assert run(*following[2:]) == 0
    shown = capsys.readouterr()
    # The teacher's code is not run unless it is named, and the table says how.
    assert "--teacher my.py:teacher" in shown.err
    assert "largest difference" in shown.out
    assert "student.onnx" in shown.out
    student = limbeck.load("runs/a", student="my.py:student")
    assert student(torch.zeros(1, 1, 8, 8)).shape == (1, 4)


def test_a_plan_is_not_overwritten_unless_asked(place, capsys):
    Path("plan.yaml").write_text("mine")
    assert run("plan", *PAIR, "--out", "plan.yaml") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert Path("plan.yaml").read_text() == "mine"
    assert run("plan", *PAIR, "--out", "plan.yaml", "--overwrite") == 0
    assert yaml.safe_load(Path("plan.yaml").read_text())["version"] == 1


def test_a_plan_that_no_longer_fits_is_made_anew_and_the_difference_printed(place, capsys):
    assert run("plan", *PAIR, "--student-option", "width=6", "--out", "plan.yaml") == 0
    words = ("--plan", "plan.yaml", "--replan", "--steps", 2, "--lr", 0.01, "--run-dir", "runs/a")
    assert run("distill", *PAIR, *words) == 0
    shown = capsys.readouterr().err
    assert "Re-planned:" in shown
    assert "- link 2 (6 channels" in shown
    assert "+ link 2 (3 channels" in shown
    assert "+ link 2 (3 channels" in Path("runs/a/report.md").read_text()


def test_the_version_is_told(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == f"limbeck {limbeck.__version__}"


def test_a_job_file_says_the_same_as_flags_and_flags_win(place, capsys):
    job = {
        "teacher": "my.py:teacher", "teacher_weights": "teacher.safetensors", "student": "my.py:student",
        "data": "my.py:data", "recipe": "article", "training": {"steps": 3, "lr": 0.01},
    }  # fmt: skip
    Path("job.yaml").write_text(yaml.safe_dump(job))
    assert run("distill", "job.yaml", "--run-dir", "runs/a", "--student-option", "width=5") == 0
    plan = yaml.safe_load(Path("runs/a/plan.yaml").read_text())
    assert plan["balancer"] == {"kind": "Fixed", "feature": 0.8, "output": 0.2}
    assert plan["student_sites"][0]["channels"] == 5
    assert plan["training"]["steps"] == 3


def test_inspect_shows_stages_sites_and_head(place, capsys):
    assert run("inspect", "my.py:teacher", "--data", "my.py:data") == 0
    shown = capsys.readouterr().out
    for word in ("BCHW", "8x8", "13:input", "head", "multiply-adds"):
        assert word in shown
    assert run("inspect", "timm:resnet18") == 0
    shown = capsys.readouterr().out
    assert "layer4.1" in shown
    # The numbers of the stages are those of a plan.
    assert [line.split()[1] for line in shown.splitlines() if " stage " in line][-4:] == ["0", "1", "2", "3"]


def test_a_run_of_a_published_architecture_is_loaded_by_name(place, capsys):
    words = (
        "--teacher",
        "timm:resnet10t",
        "--student",
        "timm:test_resnet",
        "--data",
        "digits",
        "--data-option",
        "train=40",
    )
    assert run("distill", *words, "--steps", 1, "--lr", 0.001, "--no-check-teacher", "--run-dir", "runs/a") == 0
    assert "Next: limbeck export runs/a --to onnx\n" in capsys.readouterr().out
    assert limbeck.load("runs/a")(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    # What an export needs to build a network as large as the teacher.
    teachers = json.loads(Path("runs/a/run.json").read_text())["teachers"]
    assert teachers == [{"source": "timm:resnet10t", "options": {"num_classes": 10, "in_chans": 1}}]


BAD = {
    "an unknown student": (("--student", "timm:resnet18x"), "Nearest: 'resnet18"),
    "an unknown recipe": (("--recipe", "artcle"), "Nearest: 'article'"),
    "an unknown key": (("bad.yaml",), "Nearest: 'mapping'"),
    "a missing file": (("none.yaml",), "no file"),
    "an option of the data that is no number": (
        ("--data", "digits", "--data-option", "train=abc"),
        "option 'train' of type int | None. Found 'abc'",
    ),
    "one sample": (("--data", "my.py:one"), "at least 2 samples"),
    "a label in words": (("--data", "my.py:words"), "Found the text 'cat'"),
    "data that cannot be read": (("--data", "my.py:broken"), "training data must be readable to its end"),
    "a frozen student": (("--student", "my.py:frozen"), "must have weights to train"),
    "no data": (("--data", "my.py:empty"), "at least one batch"),
    "a student on other inputs": (("--student", "my.py:other"), "The student does not run"),
    "a teacher at chance": (("--teacher-weights", "random.safetensors"), "better than chance"),
    "weights of another model": (("--teacher-weights", "other.safetensors"), "must hold exactly the weights"),
    "a run that is there": (
        ("--run-dir", "runs/there"),
        "'runs/there' is finished. Load its student with limbeck.load('runs/there', student='my.py:student'), or",
    ),
    "a plan of other models": (("--plan", "plan.yaml"), "--replan"),
    "options that are no mapping": (("number.yaml",), "'student_options' input should be a valid dictionary. Found 3"),
    "an optimizer that wants closures": (("closure.yaml",), "steps on dense gradients. Found 'LBFGS'"),
    "a device that nobody knows": (("--device", "foo"), "Found 'foo'"),
    "a precision that nobody knows": (("--precision", "half"), "Found 'half'"),
    "steps and epochs": (("--epochs", "2"), "Found both: steps=2, epochs=2"),
    "a recipe that is a number": (("recipe.yaml",), "Found 3"),
    "an option that is no YAML": (("--student-option", "width=["), "read as YAML"),
    "a module that is not there": (("--import", "nowhere"), "--import nowhere failed"),
    "resume without a run": (("--resume", "--run-dir", "runs/none"), "no run to resume in 'runs/none'"),
    "resume without a folder": (("--resume",), "Give run_dir= (--run-dir)"),
}
FILES = {
    "bad.yaml": "maping: {kind: SameDepth}",
    "number.yaml": "student_options: 3",
    "closure.yaml": "training: {optimizer: LBFGS}",
    "recipe.yaml": "recipe: 3",
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_ends_with_code_two_one_sentence_and_no_run_lost(case, place, capsys):
    words, expected = BAD[case]
    torch.manual_seed(1)
    save_model(conv_net(8), "random.safetensors")
    save_model(conv_net(7), "other.safetensors")
    for file, content in FILES.items():
        Path(file).write_text(content)
    there = Path("runs/there")
    there.mkdir(parents=True)
    (there / "run.json").write_text('{"state": "finished", "student_source": "my.py:student"}')
    if "--plan" in words:
        assert run("plan", *PAIR, "--student-option", "width=6", "--out", "plan.yaml") == 0
    files = sorted(there.iterdir())
    pair = list(PAIR)
    if "--teacher-weights" in words:  # given twice, they would be those of a second teacher
        at = pair.index("--teacher-weights")
        del pair[at : at + 2]
    assert run("distill", *pair, "--steps", 2, "--lr", 0.01, *words) == 2
    shown = capsys.readouterr().err
    assert expected in shown.replace("\n", " ")
    assert "Traceback" not in shown
    assert sorted(there.iterdir()) == files
    assert not list(Path("runs").glob("*/history.jsonl"))
    assert all(list(each.iterdir()) for each in Path("runs").iterdir())


def test_missing_words_are_named(place, capsys):
    assert run("plan", "--student", "my.py:student") == 2
    assert "--teacher" in capsys.readouterr().err


def test_recipes_are_listed_and_printed(capsys):
    assert run("recipes") == 0
    shown = capsys.readouterr().out
    assert shown.index("article") < shown.index("the next token")  # those for any task come first
    assert run("recipes", "article") == 0
    assert yaml.safe_load(capsys.readouterr().out)["balancer"]["feature"] == 0.8


def test_the_module_runs_as_a_command():
    done = subprocess.run([sys.executable, "-m", "limbeck", "recipes"], capture_output=True, text=True, check=True)
    assert "soft-labels" in done.stdout
