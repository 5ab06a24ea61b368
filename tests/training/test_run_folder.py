"""A run folder never loses an earlier run and never runs code."""

import json

import pytest
import torch

from limbeck.errors import RunError
from limbeck.training.history import History
from limbeck.training.run_folder import RunFolder


def folder(path):
    run = RunFolder.create(path, needed_bytes=1)
    run.describe(state="finished")
    return run


def test_an_earlier_run_is_never_overwritten(tmp_path):
    folder(tmp_path / "run")
    with pytest.raises(RunError, match="run-2"):
        RunFolder.create(tmp_path / "run", needed_bytes=1)


def test_too_little_disk_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(RunError, match="MB free"):
        RunFolder.create(tmp_path / "run", needed_bytes=10**18)
    assert not (tmp_path / "run" / "run.json").exists()


@pytest.mark.parametrize(
    "inputs",
    [torch.randn(2, 3), (torch.randn(2, 3), torch.randn(2)), {"input_ids": torch.ones(2, 4, dtype=torch.long)}],
    ids=["tensor", "tuple", "dict"],
)
def test_example_inputs_come_back_in_their_form(tmp_path, inputs):
    run = folder(tmp_path / "run")
    run.save_example(inputs)
    torch.testing.assert_close(run.example_inputs(), inputs)


def test_a_history_line_cut_off_in_writing_is_left_out(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps({"step": 1}) + "\n" + '{"step": 2, "lo')
    history = History.read(path)
    assert list(history) == [{"step": 1}]
    history.cut(0)
    assert path.read_text() == ""
