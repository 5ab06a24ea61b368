"""A progress bar with the time left, for work that turns out to be long."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

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
        console = Console(stderr=True)
        self._console = console if show and (console.is_terminal or console.is_jupyter) else None
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._task = None

    def advance(self, steps: int = 1, *, note: str = "") -> None:
        """Count steps and show them, with a few words on how it goes."""
        self.done += steps
        if self._bar is None and self._console is not None and time.monotonic() - self._started > _PATIENCE:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self.label, total=self.total, note=note)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, note=note)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
