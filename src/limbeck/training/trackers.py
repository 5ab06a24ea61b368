"""Which experiment trackers are asked for, of those that accelerate knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker, get_available_trackers
from accelerate.utils import LoggerType

from limbeck.errors import LimbeckError, RecipeError, RunError, nearest

# A name that accelerate knows, a tracker that is made already, several of both, "auto" or "none".
TrackerChoice = str | GeneralTracker | Sequence[str | GeneralTracker]
# What they come to.
Trackers = tuple[str | GeneralTracker, ...]

TENSORBOARD = "tensorboard"
AUTO, NONE = "auto", "none"
_PACKAGES = {TENSORBOARD: "'limbeck[track]'", "comet_ml": "comet-ml"}


def trackers_for(said: TrackerChoice, folder: Path | None) -> Trackers:
    """What is asked for, as names and trackers.

    Args:
        said: ``auto`` is TensorBoard where it is installed and there is a run folder.
        folder: of the run, if it has one.

    Raises:
        RecipeError: if accelerate knows no such tracker.
        RunError: if a tracker writes to a folder and there is none.
        LimbeckError: if its package is not installed.

    Example:
        >>> trackers_for("none", None), trackers_for("auto", None)
        ((), ())
    """
    several: list[Any] = list(said) if isinstance(said, list | tuple) else [said]
    if several in ([], [NONE]):
        return ()
    if several == [AUTO]:
        return (TENSORBOARD,) if folder is not None and _installed(TENSORBOARD) else ()
    for each in several:
        if not isinstance(each, GeneralTracker):
            _check(each, folder)
    return tuple(dict.fromkeys(several))


def _installed(name: str) -> bool:
    # Not accelerate's filter_trackers, which needs its state where a package is missing. A registered class needs none.
    return name not in LoggerType.list() or name in map(str, get_available_trackers())


def _check(name: Any, folder: Path | None) -> None:
    if name not in LOGGER_TYPE_TO_CLASS:
        found = f"Found '{name}' among several" if name in {AUTO, NONE} else f"Found '{name}'"
        raise RecipeError(
            f"A tracker is one that accelerate knows, or '{AUTO}' or '{NONE}' alone. {found}. "
            f"{nearest(str(name), LOGGER_TYPE_TO_CLASS)}"
        )
    if not _installed(name):
        raise LimbeckError(
            f"The tracker '{name}' needs its package. It is not installed. Run pip install "
            f"{_PACKAGES.get(name, name)}, or give tracker='{NONE}' (--tracker {NONE})."
        )
    if LOGGER_TYPE_TO_CLASS[name].requires_logging_directory and folder is None:
        raise RunError(
            f"The tracker '{name}' writes to the folder of the run. Found none. Give run_dir= (--run-dir), or another "
            "tracker."
        )
