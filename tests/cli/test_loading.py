"""What a terminal shows from the first moment on."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from limbeck.cli.loading import loading
from tests.cli.typing_words import PAIR


def on_a_terminal(*words, until=None, stop=False):
    """Exit code, and what a command writes to a terminal."""
    mine, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "limbeck", *map(str, words)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as running:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(mine, 65536)
            except OSError:
                break
            if stop and until in shown:
                running.send_signal(signal.SIGINT)
                stop = False
    os.close(mine)
    return running.returncode, shown.decode()


def test_a_terminal_is_told_at_once_and_the_line_is_taken_away(place):
    code, shown = on_a_terminal("plan", *PAIR)
    assert code == 0
    begun, _, later = shown.partition("Loading torch, data and models ...")
    assert not begun.strip()
    assert later.startswith("\r\x1b[2K")
    assert "Plan: my.py:teacher teaches my.py:student" in later


def test_ctrl_c_while_libraries_are_loaded_ends_with_130(place):
    code, shown = on_a_terminal("plan", *PAIR, until=b"Loading torch", stop=True)
    assert code == 130
    assert "Traceback" not in shown
    assert "Stopped." in shown


def test_a_file_is_told_nothing(capsys):
    with loading():
        pass
    assert capsys.readouterr() == ("", "")


def test_the_line_goes_also_where_loading_fails(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(ValueError, match="no"), loading("a thing"):
        raise ValueError("no")
    assert capsys.readouterr().err == "Loading a thing ...\r\x1b[2K"


def interrupted(becomes):
    """A library that is stopped while it loads, and does not let it be known."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        if becomes is not None:
            raise becomes("compiled code failed to load") from None


@pytest.mark.parametrize("becomes", [None, ImportError], ids=["caught", "another error"])
def test_an_interrupt_that_a_library_makes_something_else_of_still_stops(becomes):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), loading():
        interrupted(becomes)
    assert signal.getsignal(signal.SIGINT) is before
