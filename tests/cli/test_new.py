"""limbeck new writes a job file that limbeck distill runs as it is."""

from pathlib import Path

import pytest
import yaml

from limbeck.cli.job import Job
from tests.cli.typing_words import PAIR, run

FACTORIES = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from tests.integrations.berts import bert, sentences
from tests.toys import conv_net, loader

def deep():
    return bert(16, 4, seed=1)

def shallow(width=16, layers=2):
    return bert(width, layers)

def texts(labels=True):
    keys = ("input_ids", "attention_mask", "labels")[: 3 if labels else 2]
    def collate(rows):
        return {key: torch.tensor([row[key] for row in rows]) for key in keys}
    return DataLoader(sentences(), batch_size=8, collate_fn=collate)

def ten():
    return conv_net(8, classes=10)

def mlp(width=8):
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))

def rows():
    x = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(x, (x[:, 0] > 0).long()), batch_size=8)
"""


@pytest.fixture
def there(place):
    (place / "more.py").write_text(FACTORIES)
    return place


def pair(teacher, student, data, *words):
    return ("--teacher", teacher, "--student", student, "--data", data, *words)


def test_what_it_writes_is_run_as_it_is(there, capsys):
    words = ("--student-option", "width=4")
    assert run("new", *PAIR, *words) == 0
    shown = capsys.readouterr().out
    assert "recipe 'image-classification': one class for each sample" in shown
    assert "Next: limbeck distill job.yaml" in shown
    text = Path("job.yaml").read_text()
    assert all(len(line) <= 120 for line in text.splitlines())
    said = yaml.safe_load(text)
    assert "student-options: {width: 4}\n" in text
    assert said == {
        "teacher": "my.py:teacher", "teacher-weights": "teacher.safetensors", "student": "my.py:student",
        "student-options": {"width": 4}, "data": "my.py:data", "recipe": "image-classification",
    }  # fmt: skip
    assert run("distill", "job.yaml", "--steps", 2, "--lr", 0.01) == 0
    assert "image-classification" in Path("runs/1/recipe.yaml").read_text()


@pytest.mark.parametrize(
    ("words", "recipe"),
    [
        (pair("more.py:deep", "more.py:shallow", "more.py:texts"), "text-classification"),
        (pair("more.py:ten", "my.py:student", "my.py:data"), "penultimate"),
        (pair("more.py:mlp", "more.py:mlp", "more.py:rows", "--student-option", "width=3"), "auto"),
        (pair("my.py:teacher", "my.py:student", "my.py:data", "--recipe", "article"), "article"),
    ],
)
def test_the_recipe_is_that_of_the_task(words, recipe, there):
    assert run("new", *words) == 0
    assert Job.read(Path("job.yaml"), {}).recipe.name == recipe


def test_a_shallower_student_of_the_teachers_kind_starts_with_its_layers(there):
    given = pair("more.py:deep", "more.py:shallow", "more.py:texts")
    assert run("new", *given) == 0
    text = Path("job.yaml").read_text()
    assert "100% of its numbers" in text
    assert Job.read(Path("job.yaml"), {}).start == "first"
    assert run("distill", "job.yaml", "--steps", 1, "--lr", 0.01, "--no-check-teacher") == 0
    assert "start: first" in Path("runs/1/plan.yaml").read_text()
    assert run("new", *given, "--student-option", "width=8", "--force") == 0
    assert Job.read(Path("job.yaml"), {}).start is None
    assert run("new", *given, "--student-option", "layers=4", "--force") == 0
    assert Job.read(Path("job.yaml"), {}).start is None


def test_a_job_file_is_not_overwritten_unless_asked(there, capsys):
    Path("mine.yaml").write_text("edited: by hand")
    assert run("new", *PAIR, "--out", "mine.yaml") == 2
    assert "'mine.yaml' is there already, perhaps edited. Give --force" in capsys.readouterr().err
    assert Path("mine.yaml").read_text() == "edited: by hand"
    assert run("new", *PAIR, "--out", "mine.yaml", "--force") == 0
    assert "Next: limbeck distill mine.yaml" in capsys.readouterr().out


def test_a_pair_that_cannot_be_distilled_is_refused_and_nothing_written(there, capsys):
    assert run("new", *pair("my.py:teacher", "my.py:other", "my.py:data")) == 2
    assert "The student does not run" in capsys.readouterr().err
    assert not Path("job.yaml").exists()


@pytest.mark.parametrize("start", ["last", "as-given"])
def test_the_start_can_be_typed(start, there, capsys):
    given = pair("more.py:deep", "more.py:shallow", "more.py:texts", "--start", start)
    assert run("plan", *given, "--out", "plan.yaml") == 0
    assert ("blocks taken: last" in capsys.readouterr().out) == (start == "last")
    assert f"start: {start}" in Path("plan.yaml").read_text()
    assert run("distill", *given, "--steps", 1, "--lr", 0.01, "--no-check-teacher") == 0
    assert f"start: {start}" in Path("runs/1/plan.yaml").read_text()


def test_an_unknown_start_is_answered_with_all(there, capsys):
    assert run("distill", *PAIR, "--start", "middle") == 2
    assert "'as-given', 'spread', 'first' or 'last'" in capsys.readouterr().err
