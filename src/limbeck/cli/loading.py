"""A word on a terminal while libraries, data and models are loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType

_CLEARED = Control((ControlType.CARRIAGE_RETURN,), (ControlType.ERASE_IN_LINE, 2))


@contextmanager
def loading(what: str = "torch, data and models") -> Iterator[None]:
    """While entered, a line on the terminal says so; nothing is written anywhere else.

    A line that stands still, as what is loaded may write a progress bar of its own over it.

    Example:
        >>> with loading():
        ...     import torch
    """
    console = Console(stderr=True)
    shown = console.is_terminal and not console.is_dumb_terminal
    if shown:
        console.print(f"Loading {what} ...", end="", highlight=False)
    try:
        yield
    finally:
        if shown:
            console.control(_CLEARED)
