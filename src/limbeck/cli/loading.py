"""A word on a terminal while libraries, data and models are loaded."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType

_CLEARED = Control((ControlType.CARRIAGE_RETURN,), (ControlType.ERASE_IN_LINE, 2))


@contextmanager
def loading(what: str = "torch, data and models") -> Iterator[None]:
    """While entered, a line on the terminal says so; nothing is written anywhere else.

    A line that stands still, as what is loaded may write a progress bar of its own over it. Ctrl-C stops it even where
    what is loaded catches the interrupt, or makes another error of it, as importing a compiled library may.

    Example:
        >>> with loading():
        ...     import torch
    """
    console = Console(stderr=True)
    shown = console.is_terminal and not console.is_dumb_terminal
    if shown:
        console.print(f"Loading {what} ...", end="", highlight=False)
    try:
        with _certain_interrupt():
            yield
    finally:
        if shown:
            console.control(_CLEARED)


@contextmanager
def _certain_interrupt() -> Iterator[None]:
    """Ctrl-C within ends in a ``KeyboardInterrupt``, whatever becomes of the first one."""
    asked = False

    def note(_signum: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, note) if main else None
    try:
        yield
    except BaseException:
        if asked:
            raise KeyboardInterrupt from None
        raise
    finally:
        if main:
            signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
    if asked:
        raise KeyboardInterrupt
