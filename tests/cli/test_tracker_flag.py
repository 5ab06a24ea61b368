"""Trackers from the command line and from a job file."""

import pytest
import yaml

from limbeck.cli.job import Job
from limbeck.errors import RecipeError
from tests.cli.typing_words import PAIR, run
from tests.trackers import events

NAMES = {"teacher": "my:teacher", "student": "my:student", "data": "digits"}


@pytest.mark.parametrize("said", ["wandb", ["wandb", "tensorboard"]])
def test_a_job_file_names_one_tracker_or_several_and_a_flag_wins(tmp_path, said):
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump({**NAMES, "tracker": said}))
    assert Job.read(file, {}).tracker == said
    assert Job.read(file, {"tracker": ["none"]}).tracker == ["none"]
    assert Job.read(None, NAMES).tracker == "auto"


def test_what_is_no_name_is_an_error(tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump({**NAMES, "tracker": {"wandb": True}}))
    with pytest.raises(RecipeError, match="tracker"):
        Job.read(file, {})


def test_the_flag_is_repeated_for_several_and_names_what_must_be_installed(place, monkeypatch, capsys):
    words = ["distill", *PAIR, "--steps", 3, "--lr", 0.02, "--run-dir", "runs/a"]
    monkeypatch.setattr("accelerate.tracking._available_trackers", ["tensorboard"])
    assert run(*words, "--tracker", "tensorboard", "--tracker", "trackio") == 2
    assert "pip install trackio" in capsys.readouterr().err
    assert run(*words, "--tracker", "tensorboard") == 0
    assert [step for step, _ in events(place / "runs" / "a" / "tensorboard")["loss"]] == [1, 2, 3]
    assert run(*words[:-1], "runs/b", "--tracker", "none") == 0
    assert not (place / "runs" / "b" / "tensorboard").exists()
