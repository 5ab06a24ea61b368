"""A run folder never loses an earlier run and never runs code."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from limbeck.errors import RunError
from limbeck.sources import load_weights
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


def test_what_is_said_of_an_earlier_run_depends_on_the_state_it_recorded(tmp_path):
    run = folder(tmp_path / "run")
    with pytest.raises(RunError, match="is finished\\. Load its student") as caught:
        RunFolder.create(run.path, needed_bytes=1)
    assert "resume" not in str(caught.value)
    with pytest.raises(RunError, match="nothing to resume"):
        RunFolder.create(run.path, needed_bytes=1, resume=True)
    run.describe(state="running")
    run.save_student(torch.nn.Linear(2, 2))
    with pytest.raises(RunError, match="not finished.*--resume"):
        RunFolder.create(run.path, needed_bytes=1)
    assert not RunFolder.create(run.path, needed_bytes=1, resume=True).finished
    with pytest.raises(RunError, match="no student yet"):
        _ = run.student_file


def test_there_must_be_a_run_to_resume(tmp_path):
    with pytest.raises(RunError, match="no run to resume"):
        RunFolder.create(tmp_path / "run", needed_bytes=1, resume=True)
    assert not (tmp_path / "run").exists()


def test_weights_that_belong_to_no_run_are_not_overwritten(tmp_path):
    (tmp_path / "student.safetensors").write_bytes(b"mine")
    with pytest.raises(RunError, match="folder of its own"):
        RunFolder.create(tmp_path, needed_bytes=1)


@pytest.mark.parametrize("content", ['{"state": ', "[]", "\xff"])
def test_damaged_files_of_a_run_are_named(tmp_path, content):
    run = folder(tmp_path / "run")
    (run.path / "run.json").write_text(content, encoding="latin-1")
    with pytest.raises(RunError, match=r"run.json' is damaged"):
        _ = run.description
    (run.path / "example.safetensors").write_bytes(b"no tensors")
    with pytest.raises(RunError, match=r"example.safetensors' is damaged"):
        run.example_inputs()


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


class Keeping(nn.Linear):
    """Keeps something that is no tensor, and the same weight under two names."""

    def __init__(self):
        super().__init__(3, 3)
        self.again, self.seen = self.weight, {"images": 0}

    def get_extra_state(self):
        return self.seen

    def set_extra_state(self, state):
        self.seen = state


def test_a_student_keeps_what_is_no_tensor_and_tied_weights_are_written_once(tmp_path):
    student = Keeping()
    student.seen = {"images": 7}
    run = RunFolder(tmp_path)
    file = run.save_student(student)
    assert set(load_file(file)) == {"weight", "bias"}
    found = Keeping()
    load_weights(found, file)
    run.restore_extra(found)
    assert torch.equal(found.again, student.weight)
    assert found.seen == {"images": 7}
    (tmp_path / "student-extra.pt").write_bytes(b"damaged")
    with pytest.raises(RunError, match="student-extra.pt.*get_extra_state"):
        run.restore_extra(found)
