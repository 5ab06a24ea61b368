"""``limbeck cache`` builds, describes and verifies."""

from urllib.parse import unquote

import pytest
import yaml
from typer.testing import CliRunner

from limbeck.cache.inspecting import inspect_cache
from limbeck.cli.app import app

JOB = [
    *("--teacher", "limbeck.demo.networks:teacher", "--student", "limbeck.demo.networks:student"),
    *("--data", "digits", "--data-option", "train=60"),
]


def run(*words):
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def test_build_info_verify_and_a_damaged_row(tmp_path):
    place = str(tmp_path / "cache")
    code, output = run("cache", "build", place, *JOB)
    assert code == 0
    assert "limbeck distill --cache" in output
    code, output = run("cache", "info", place)
    assert code == 0
    assert "float16" in output
    assert run("cache", "verify", place)[0] == 0
    damaged = next(each for each in (tmp_path / "cache").rglob("*.rows") if each.stat().st_size > 10_000)
    with damaged.open("r+b") as file:
        file.seek(4)
        file.write(b"\xfe" * 32)
    code, output = run("cache", "verify", place)
    assert code == 1
    assert "damaged" in output


def test_nothing_there_is_an_error_that_says_what_to_do(tmp_path):
    result = CliRunner().invoke(app, ["cache", "info", str(tmp_path)])
    assert result.exit_code != 0
    assert "cache build" in str(result.exception)


def test_a_plan_says_what_is_cached(tmp_path):
    plan, job = tmp_path / "plan.yaml", tmp_path / "job.yaml"
    assert run("plan", *JOB, "--recipe", "features", "--out", str(plan))[0] == 0
    names = {"teacher": JOB[1], "student": JOB[3], "data": "digits", "data_options": {"train": 60}, "plan": str(plan)}
    job.write_text(yaml.safe_dump(names))
    assert run("cache", "build", str(tmp_path / "cache"), str(job))[0] == 0
    sites = {term["teacher"] for term in yaml.safe_load(plan.read_text())["terms"]}
    fields = {field.name for field in inspect_cache(tmp_path / "cache").fields}
    assert {unquote(name.partition("+")[0]) for name in fields} == sites  # and no logits: features only


def test_a_cache_of_another_precision_is_refused_by_name(tmp_path):
    place = str(tmp_path / "cache")
    assert run("cache", "build", place, *JOB, "--precision", "bf16")[0] == 0
    assert run("cache", "build", place, *JOB, "--precision", "bf16")[0] == 0
    result = CliRunner().invoke(app, ["cache", "build", place, *JOB])
    assert "precision that the teacher runs in was bf16. Found no" in str(result.exception)


@pytest.mark.parametrize(("flag", "value"), [("--cache-encoding", "float61"), ("--cache-views", "0")])
def test_a_value_that_is_not_known_leaves_no_folder(tmp_path, flag, value):
    result = CliRunner().invoke(app, ["cache", "build", str(tmp_path / "cache"), *JOB, flag, value])
    assert result.exit_code != 0
    assert not (tmp_path / "cache").exists()


def test_looking_at_a_wrong_name_makes_no_folder(tmp_path):
    for word in ("info", "verify"):
        assert run("cache", word, str(tmp_path / "wrong"))[0] != 0
    assert not list(tmp_path.iterdir())
