"""The bar comes after two seconds, on a terminal only, and goes away."""

import io

import pytest

from limbeck import progress


@pytest.fixture
def terminal(monkeypatch):
    written = io.StringIO()
    console = progress.Console(file=written, force_terminal=True, width=120)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    monkeypatch.setattr(progress, "_PATIENCE", 0.05)
    return written


def test_long_work_shows_how_far_it_is_even_before_its_first_step(terminal):
    import time

    with progress.ProgressBar("Working", 4) as bar:
        time.sleep(0.4)
        assert "Working" in terminal.getvalue()
        bar.advance(note="half")
        time.sleep(0.3)
    assert "1/4" in terminal.getvalue()
    assert "half" in terminal.getvalue()


def test_short_work_and_hidden_bars_write_nothing(terminal):
    with progress.ProgressBar("Working", 4) as bar:
        bar.advance(4)
    with progress.ProgressBar("Working", 4, show=False) as bar:
        bar.advance(4)
    assert terminal.getvalue() == ""
