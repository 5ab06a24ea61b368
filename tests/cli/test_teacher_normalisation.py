import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from limbeck.cli.app import app
from limbeck.cli.job import Job
from limbeck.errors import RecipeError
from limbeck.teachers import Renormalised

# timm publishes it for a mean and a deviation of 0.5; the data have those of ImageNet.
MODEL = "timm:test_resnet"


@pytest.fixture
def said(tmp_path):
    generator = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (tmp_path / "train" / kind).mkdir(parents=True)
        for number in range(4):
            pixels = generator.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "train" / kind / f"{number}.png")
    return {"teacher": MODEL, "student": MODEL, "data": f"imagefolder:{tmp_path}", "data_options": {"size": 32}}


@pytest.mark.parametrize(("how", "anew"), [("published", True), ("data", False), (None, False)])
def test_it_is_said_by_a_key_of_the_job_and_the_student_is_left_alone(said, how, anew):
    job = Job.read(None, {**said, "teacher_normalisation": how})
    teacher, student = job.load_models(job.load_data())
    assert isinstance(teacher, Renormalised) == anew
    assert not isinstance(student, Renormalised)


def test_another_word_is_refused(said):
    with pytest.raises(RecipeError, match="teacher_normalisation"):
        Job.read(None, {**said, "teacher_normalisation": "imagenet"})


def test_the_printed_plan_says_it(said, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    flags = ["--teacher", MODEL, "--student", MODEL, "--data", said["data"], "--data-option", "size=32"]
    result = CliRunner().invoke(app, ["plan", *flags, "--teacher-normalisation", "published"])
    assert result.exit_code == 0, result.output
    assert "teacher normalisation" in result.output
    assert "mean 0.5, 0.5, 0.5" in result.output
