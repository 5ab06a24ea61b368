"""A file is written whole or stays as it was."""

import errno
from pathlib import Path

import pytest
import torch
from torch import nn

import limbeck
from limbeck.errors import RunError
from limbeck.training.history import History
from limbeck.training.run_folder import RunFolder
from limbeck.whole_file import whole_file, write_text
from tests.toys import loader, pair


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def half_written(self, text, **_):
    with self.open("w") as file:
        file.write(text[:3])
    full()


def test_a_full_disk_leaves_the_file_as_it_was_and_nothing_beside_it(tmp_path, monkeypatch):
    file = tmp_path / "plan.yaml"
    write_text(file, "version: 1")
    monkeypatch.setattr(Path, "write_text", half_written)
    with pytest.raises(RunError, match=r"plan.yaml' could not be written: No space left on device.*Free disk space"):
        write_text(file, "version: 2")
    assert file.read_text() == "version: 1"
    assert list(tmp_path.iterdir()) == [file]


def test_an_error_of_another_kind_passes_and_changes_nothing(tmp_path):
    file = tmp_path / "plan.yaml"
    write_text(file, "version: 1")

    def stopped():
        with whole_file(file) as place:
            place.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert file.read_text() == "version: 1"
    assert list(tmp_path.iterdir()) == [file]


def test_weights_on_a_full_disk_are_an_error_of_the_run(tmp_path, monkeypatch):
    run = RunFolder.create(tmp_path / "run", needed_bytes=1)
    run.describe(state="running")
    monkeypatch.setattr("limbeck.training.run_folder.save_file", full)
    for write in (lambda: run.save_student(nn.Linear(2, 2)), lambda: run.save_example(torch.zeros(2, 2))):
        with pytest.raises(RunError, match="No space left"):
            write()
    assert [path.name for path in run.path.iterdir()] == ["run.json"]


def test_a_history_on_a_full_disk_is_an_error_of_the_run(tmp_path, monkeypatch):
    history = History(tmp_path / "history.jsonl")
    history.add(step=1)
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(RunError, match="No space left.*--resume"):
        history.add(step=2)


def test_a_run_whose_report_finds_no_room_is_not_finished_and_goes_on_when_there_is_some(tmp_path, monkeypatch):
    folder, options = tmp_path / "run", {"steps": 3, "lr": 0.01, "check_teacher": False, "progress": False}
    with monkeypatch.context() as patch:
        write = Path.write_text
        patch.setattr(
            Path, "write_text", lambda self, text, **_: (full if "report" in self.name else write)(self, text)
        )
        with pytest.raises(RunError, match="report.md' could not be written: No space left"):
            limbeck.distill(*pair(), loader(), run_dir=folder, **options)
    assert not RunFolder(folder).finished
    report = limbeck.distill(*pair(), loader(), run_dir=folder, resume=True, **options)
    assert RunFolder(folder).finished
    assert [row["step"] for row in report.history] == [1, 2, 3]


def test_a_folder_that_is_not_there_is_an_error_of_the_run(tmp_path):
    for write in (
        lambda: write_text(tmp_path / "no" / "a", ""),
        lambda: RunFolder(tmp_path / "no").save_student(nn.Linear(2, 2)),
    ):
        with pytest.raises(RunError, match="could not be written"):
            write()
