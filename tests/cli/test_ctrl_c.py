"""Ctrl-C says what was saved and how to go on, and that works as typed."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.typing_words import MODELS, PAIR, run


def rows(path):
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_ctrl_c_during_training_saves_and_says_the_command_that_goes_on(place):
    Path("slow").touch()
    words = ["distill", *MODELS, "--data", "my.py:slow", "--steps", "60", "--lr", "0.01", "--run-dir", "runs/a"]
    environment = {**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "limbeck", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        deadline = time.monotonic() + 100
        while not rows(Path("runs/a/history.jsonl")):
            assert running.poll() is None, running.stderr.read()
            assert time.monotonic() < deadline, "no step was made"
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in said
    done = rows(Path("runs/a/history.jsonl"))[-1]["step"]
    assert done < 60
    assert json.loads(Path("runs/a/run.json").read_text())["state"] == "running"
    again = shlex.split(said.strip().partition("Go on with: ")[2])
    assert again == ["limbeck", *words, "--resume"]
    Path("slow").unlink()
    assert run(*again[1:]) == 0
    steps = [row["step"] for row in rows(Path("runs/a/history.jsonl"))]
    assert steps == sorted(set(steps))
    assert steps[-1] == 60
    assert json.loads(Path("runs/a/run.json").read_text())["state"] == "finished"


def test_ctrl_c_before_anything_is_saved_is_no_traceback(place, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("limbeck.sources.load_data", stop)
    assert run("plan", *PAIR) == 130
    assert capsys.readouterr().err.strip() == "Stopped."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lr", "0.1"), "lr is 0.01 there and 0.1 now"),
        (("--lr", "0.01", "--recipe", "article"), "the recipe's balancer"),
        (("--lr", "0.01", "--seed", "3"), "seed is 0 there and 3 now"),
        (("--lr", "0.01", "--epochs", "1"), "epochs is not given there and 1 now"),
    ],
)
def test_a_run_goes_on_only_as_it_was_begun(place, capsys, words, said):
    assert run("distill", *PAIR, "--steps", 2, "--lr", 0.01, "--run-dir", "runs/a") == 0
    facts = Path("runs/a/run.json")
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "state": "running"}))
    assert run("distill", *PAIR, "--run-dir", "runs/a", "--resume", *words) == 2
    assert said in capsys.readouterr().err
