"""A progress bar with the time left, for work that turns out to be long."""

from __future__ import annotations

import threading

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_PATIENCE = 2.0


class ProgressBar:
    """Shows itself after two seconds, on a terminal or in a notebook; writes nothing anywhere else.

    Args:
        label: what is being done.
        total: how many steps there are.
        show: ``False`` keeps it hidden.

    Example:
        >>> with ProgressBar("Training", 10) as bar:
        ...     bar.advance(note="loss 0.5")
        >>> bar.done
        1
    """

    def __init__(self, label: str, total: int, *, show: bool = True) -> None:
        self.label, self.total, self.done = label, total, 0
        self._note = ""
        console = Console(stderr=True)
        self._console = console if show and (console.is_terminal or console.is_jupyter) else None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        # A thread, so that the bar also comes while the first step is still under way.
        self._timer = threading.Timer(_PATIENCE, self._appear)
        self._timer.daemon = True

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Count steps and show them, with a few words on how it goes."""
        self.done += steps
        self._note = note
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, note=note)

    def _appear(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        bar = Progress(*columns, console=self._console, transient=True)
        self._task = bar.add_task(self.label, total=self.total, completed=self.done, note=self._note)
        bar.start()
        self._bar = bar

    def __enter__(self) -> ProgressBar:
        if self._console is not None:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._timer.is_alive():
            self._timer.join()
        if self._bar is not None:
            self._bar.stop()
