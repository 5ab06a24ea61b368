"""Ctrl-C that waits for the end of a step."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """Training was stopped by the user, and its state saved where there is a run folder."""


class PatientInterrupt:
    """While entered, the first Ctrl-C only sets :attr:`asked`; the second one acts at once.

    Example:
        >>> with PatientInterrupt() as interrupt:
        ...     interrupt.asked
        False
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> PatientInterrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
