"""Trackers that hear what the histories of a distillation are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from limbeck.training.history import History
from limbeck.training.tracker_run import TrackerRun, own_run, shared_run
from limbeck.training.trackers import TENSORBOARD, Trackers
from limbeck.training.tracking import scalars


class _Heard(NamedTuple):
    """A run in which a history is, and what its names have in front there."""

    run: TrackerRun
    prefix: str


class Following:
    """Logs every row of the histories that it follows.

    Each history has a TensorBoard folder of its own, beside its file, so that TensorBoard shows recipes that race as
    lines of one chart. Any other tracker has one run, in which the rivals' names begin with ``race/RECIPE/``.

    Args:
        trackers: names, or trackers that are made already.
        folder: of the run; ``None`` for none.
        metric: what validation is measured by.

    Example:
        >>> from accelerate.tracking import GeneralTracker
        >>> class Printing(GeneralTracker):
        ...     name, requires_logging_directory, tracker = "printing", False, None
        ...     def log(self, values, step=None, **_):
        ...         print(step, values)
        >>> following, history = Following((Printing(),), None), History()
        >>> following.follow(history, config={"lr": 0.1})
        >>> history.add(step=1, loss=2.0)
        1 {'loss': 2.0}
        >>> following.close()
    """

    def __init__(self, trackers: Trackers, folder: Path | None, *, metric: str = "metric") -> None:
        self._folder, self._metric = folder, metric
        self._own = TENSORBOARD in trackers
        self._shared = [shared_run(each, folder) for each in trackers if each != TENSORBOARD]
        self._followed: list[tuple[History, list[_Heard]]] = []

    def follow(
        self,
        history: History,
        *,
        config: Mapping[str, Any],
        first: Mapping[str, float] | None = None,
        rival: str | None = None,
    ) -> None:
        """Log what a history is told from now on.

        Args:
            history: with the rows that it has so far, if a run is resumed.
            config: what is known before the first step.
            first: numbers to log at step 0.
            rival: the recipe, if it is a rival in a race; then its file tells where its folder is.
        """
        heard = [_Heard(run, "" if rival is None else f"race/{rival}/") for run in self._shared]
        place = self._folder if history.path is None else history.path.parent
        if self._own and place is not None:
            heard.append(_Heard(own_run(place / TENSORBOARD), ""))
        for run, prefix in heard:
            run.begin_with(_under(prefix, config), _under(prefix, first or {}))
        self._followed.append((history, heard))
        history.tell = partial(self._hear, history, heard)

    def log(self, history: History, values: Mapping[str, float]) -> None:
        """Log numbers at the last step of a history."""
        if not values:
            return
        step = history.rows[-1]["step"] if len(history) else 0
        for each, heard in self._followed:
            if each is history:
                self._log(heard, values, step=step, reached=step)

    def close(self) -> None:
        """End the runs of all trackers; to be called after errors too."""
        for history, heard in self._followed:
            history.tell = None
            for run, _ in heard:
                run.finish()
        self._followed.clear()

    def _hear(self, history: History, heard: Sequence[_Heard], row: Mapping[str, Any]) -> None:
        reached = history.rows[-2]["step"] if len(history) > 1 else 0
        self._log(heard, scalars(row, metric=self._metric), step=row["step"], reached=reached)

    def _log(self, heard: Sequence[_Heard], values: Mapping[str, float], *, step: int, reached: int) -> None:
        numbers = {name: value for name, value in values.items() if name != "step"}
        for run, prefix in heard:
            run.log(_under(prefix, numbers), step=step, reached=reached)


def _under(prefix: str, named: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in named.items()}
