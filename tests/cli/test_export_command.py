"""``limbeck export``: several formats at once, and the table of what they cost."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_model

from limbeck.training.run_folder import RunFolder
from tests.cli.typing_words import run
from tests.toys import conv_net

NAMED = ("--student", "my.py:student")


@pytest.fixture
def finished(place):
    """The folder of a run of the pair in ``my.py``, as a training leaves it."""
    folder = RunFolder.create("runs/a", needed_bytes=0)
    folder.describe(
        state="finished", student_source="my.py:student", teachers=[{"source": "my.py:teacher", "options": {}}]
    )
    folder.save_example(torch.randn(4, 1, 8, 8))
    save_model(conv_net(3), str(folder.path / "student.safetensors"))
    return folder


def rows(shown):
    """The rows of the table by name; the cells as they are shown."""
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in shown.splitlines() if line.startswith("│")]
    return {name: cells for name, *cells in lines}


def test_several_formats_are_written_at_once_and_compared_with_the_teacher(finished, capsys):
    formats = ("--to", "torch", "--to", "safetensors")
    assert run("export", "runs/a", *formats, *NAMED, "--teacher", "my.py:teacher") == 0
    found = rows(capsys.readouterr().out)
    assert list(found) == ["teacher", "student", "student.pt2", "exported.safetensors"]
    sizes = [sum(each.numel() for each in conv_net(width).parameters()) for width in (8, 3, 3, 3)]
    assert [cells[0] for cells in found.values()] == [f"{size:,}" for size in sizes]
    assert found["teacher"][1].endswith("(100%)")
    assert found["exported.safetensors"][2] == "as student"


def test_a_teacher_of_published_architecture_is_built_by_itself(finished, capsys):
    options = {"num_classes": 4, "in_chans": 1}
    finished.describe(teachers=[{"source": "timm:test_resnet", "options": options}])
    assert run("export", "runs/a", "--to", "safetensors", *NAMED) == 0
    shown = capsys.readouterr()
    assert list(rows(shown.out)) == ["teacher", "student", "exported.safetensors"]
    assert shown.err == ""


def test_a_run_that_says_nothing_of_its_teacher_is_exported_and_the_table_says_what_is_missing(finished, capsys):
    finished.write("run.json", json.dumps({"state": "finished", "student_source": "my.py:student"}))
    assert run("export", "runs/a", "--to", "safetensors", *NAMED) == 0
    shown = capsys.readouterr()
    assert list(rows(shown.out)) == ["student", "exported.safetensors"]
    assert "--teacher MODEL" in shown.err


def test_without_measuring_no_teacher_is_needed_and_no_table_shown(finished, capsys):
    assert run("export", "runs/a", "--to", "safetensors", *NAMED, "--no-measure") == 0
    shown = capsys.readouterr()
    assert "largest difference" in shown.out
    assert not rows(shown.out)
    assert shown.err == ""


def test_several_formats_do_not_fit_into_one_file(finished, capsys):
    assert run("export", "runs/a", "--to", "onnx", "--to", "torch", *NAMED, "--out", "one.onnx") == 2
    assert "need a folder" in capsys.readouterr().err
    assert not Path("one.onnx").exists()
