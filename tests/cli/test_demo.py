"""The demo ends with a table, and an earlier demo is only moved when the new one has come to its end."""

import json
from pathlib import Path

import pytest

import limbeck
from limbeck.demo import contest
from tests.cli.typing_words import run


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """A demo of two seeds that trains one pair, and the numbers it found for the others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(contest, "SEEDS", 2)
    monkeypatch.setattr(contest, "TEACHER_STEPS", 60)
    monkeypatch.setattr(contest, "STUDENT_STEPS", 10)

    def trained(self):
        self.teachers.mkdir(parents=True, exist_ok=True)
        yield "teacher", 0, self.teacher(0)
        yield "limbeck", 0, self.student("limbeck", 0)
        for name, value in (("teacher", 0.9), ("alone", 0.5), ("alone", 0.7), ("soft labels", 0.6), ("limbeck", 0.8)):
            yield name, 1, value
        yield "soft labels", 1, 0.8

    monkeypatch.setattr(contest.Contest, "run", trained)


@pytest.mark.slow
def test_a_demo_says_each_result_where_there_is_no_terminal_and_compares_them_in_its_report(quick, capsys):
    earlier = Path("runs/demo")
    earlier.mkdir(parents=True)
    (earlier / "report.md").write_text("mine")
    assert run("demo") == 0
    shown = capsys.readouterr()
    assert "3/8 teacher, seed 1: 0.900" in shown.err
    assert "The earlier demo is kept in runs/demo-2." in shown.out
    assert Path("runs/demo-2/report.md").read_text() == "mine"
    rows = {row["name"]: row for row in json.loads(Path("runs/demo/summary.json").read_text())}
    assert rows["alone"]["accuracy_mean"] == pytest.approx(0.6)
    assert rows["alone"]["accuracy_se"] == pytest.approx(0.1)
    report = Path("runs/demo/report.md").read_text()
    assert "| alone | 0.600 +- 0.100 | 3,466 |" in report
    assert report.index("| alone |") < report.index("## Choices")
    assert sorted(path.name for path in Path("runs").iterdir()) == ["demo", "demo-2", "demo-teachers"]
    assert Path("runs/demo/student.pt2").is_file()
    limbeck.load("runs/demo")


def test_a_demo_that_is_stopped_leaves_the_earlier_one_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def stopped(self):
        self.folder.mkdir()
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(contest.Contest, "run", stopped)
    Path("runs/demo").mkdir(parents=True)
    (Path("runs/demo") / "report.md").write_text("mine")
    assert run("demo") == 130
    assert [path.name for path in Path("runs").iterdir()] == ["demo"]
    assert Path("runs/demo/report.md").read_text() == "mine"
