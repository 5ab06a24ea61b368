"""A run of one experiment tracker."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from limbeck.errors import RunError
from limbeck.training.trackers import TENSORBOARD

# What trackers with projects call ours.
_PROJECT = "limbeck"


class TrackerRun:
    """One run of one tracker, which begins with the first number that there is to log.

    A tracker that cannot begin is an error. One that fails later is left with a warning: a training is worth more.

    Args:
        name: of the tracker, for people.
        make: gives the tracker, not started yet, and whether what it begins with is there already; is told behind which
            step nothing may be left.

    Example:
        >>> class Printing(GeneralTracker):
        ...     name, requires_logging_directory, tracker = "printing", False, None
        ...     def log(self, values, step=None, **_):
        ...         print(step, values)
        >>> run = TrackerRun("printing", lambda reached: (Printing(), False))
        >>> run.log({"loss": 2.0}, step=1, reached=0)
        1 {'loss': 2.0}
        >>> run.finish()
    """

    def __init__(self, name: str, make: Callable[[int], tuple[GeneralTracker, bool]]) -> None:
        self._name, self._make = name, make
        self._config: dict[str, bool | int | float | str] = {}
        self._first: dict[str, float] = {}
        self._tracker: GeneralTracker | None = None
        self._left = False

    def begin_with(self, config: Mapping[str, Any], first: Mapping[str, float]) -> None:
        """Add to the configuration, and to what is logged at step 0."""
        self._config |= {key: _simple(value) for key, value in config.items() if value is not None}
        self._first |= first

    def log(self, values: Mapping[str, float], *, step: int, reached: int) -> None:
        """Log numbers.

        Args:
            values: by name.
            step: of the training.
            reached: the last step that was logged before, if this is the first number of this process: what a tracker
                has of later steps, from a process that came further than its checkpoint, is not valid.

        Raises:
            RunError: if the tracker does not begin.
        """
        if self._left:
            return
        tracker = self._tracker or self._started(reached)
        try:
            tracker.log(dict(values), step=step)
        except Exception as error:  # whatever its package raises
            self._left = True
            warnings.warn(
                f"The tracker '{self._name}' failed at step {step}: {error}. The training goes on without it.",
                stacklevel=2,
            )

    def _started(self, reached: int) -> GeneralTracker:
        try:
            tracker, known = self._make(reached)
            tracker.start()
            self._tracker = tracker
            if not known:
                tracker.store_init_configuration(dict(self._config))
                if self._first:
                    tracker.log(dict(self._first), step=0)
        except Exception as error:
            raise RunError(
                f"The tracker '{self._name}' must begin before the first step. Found: {error}. Set it up as its own "
                f"documentation says, or give tracker='none' (--tracker none)."
            ) from error
        return tracker

    def finish(self) -> None:
        """End the run, if it was begun; to be called after errors too, so that it raises none."""
        tracker, self._tracker, self._left = self._tracker, None, True
        if tracker is None:
            return
        try:
            tracker.finish()
        except Exception as error:  # whatever its package raises
            warnings.warn(f"The tracker '{self._name}' did not end well: {error}.", stacklevel=2)


def own_run(folder: Path) -> TrackerRun:
    """A run of TensorBoard in a folder of its own, which goes on there if it has been begun.

    Args:
        folder: made with the first number.
    """

    def make(reached: int) -> tuple[GeneralTracker, bool]:
        known = folder.is_dir()
        # Whatever the process before wrote behind its last checkpoint is hidden.
        purge = {"purge_step": reached + 1} if known else {}
        return LOGGER_TYPE_TO_CLASS[TENSORBOARD](folder.name, folder.parent, **purge), known

    return TrackerRun(TENSORBOARD, make)


def shared_run(asked: str | GeneralTracker, folder: Path | None) -> TrackerRun:
    """A run of any other tracker, in which all recipes of a race are.

    Args:
        asked: its name, or the tracker itself.
        folder: of the run, for trackers that need one.
    """
    if isinstance(asked, GeneralTracker):
        return TrackerRun(str(getattr(asked, "name", type(asked).__name__)), lambda _: (asked, False))
    kind = LOGGER_TYPE_TO_CLASS[asked]
    places = [folder] if kind.requires_logging_directory else []
    return TrackerRun(asked, lambda _: (kind(_PROJECT, *places), False))


def _simple(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
