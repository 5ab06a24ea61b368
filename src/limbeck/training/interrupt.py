"""Ctrl-C, or the end of a job's time, that waits for the end of a step."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """Training was stopped by the user, and its state saved where there is a run folder."""


class PatientInterrupt:
    """While entered, the first Ctrl-C only sets :attr:`asked`; the second one acts at once.

    SIGTERM, by which a cluster announces that a job is about to be stopped, counts as Ctrl-C.

    Example:
        >>> with PatientInterrupt() as interrupt:
        ...     interrupt.asked
        False
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> PatientInterrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._note) for each in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for each, before in self._before.items():
            # A handler that no Python code set cannot be named again.
            signal.signal(each, signal.SIG_DFL if before is None else before)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
