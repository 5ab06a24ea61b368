"""``limbeck cache`` builds, describes and verifies."""

from typer.testing import CliRunner

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
