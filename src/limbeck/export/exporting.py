"""What every export does: take a copy, write it, run what was written, compare, and only then give it its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from limbeck.batch import ReadOutput
from limbeck.export.answering import Answering
from limbeck.export.check import EXACT, Run, checked
from limbeck.export.destination import destination
from limbeck.export.exported import Exported

Write = Callable[[Answering, Path], tuple[Run, tuple[str, ...]]]


def exporting(
    student: nn.Module,
    example_inputs: Any,
    path: Path | str,
    output: ReadOutput | None,
    *,
    kind: str,
    suffix: str | None,
    write: Write,
    alternative: str,
    tolerance: float = EXACT,
) -> Exported:
    """Export a student by ``write``, and check the result.

    Args:
        student: the trained student; read, never changed.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        path: the file, or a folder.
        output: how the one tensor to answer with is read from what the student returns; ``None`` for the logits.
        kind: name of the format.
        suffix: what ``path`` must end in; ``None`` for a folder.
        write: puts the student into a file; returns how that file is run, and which sizes of its inputs may change.
        alternative: what the user can do where it does not work.
        tolerance: the largest difference that is accepted, as a share of the largest answer.

    Raises:
        ModelError: if the student cannot be exported, or the file answers otherwise than the student.
        RunError: if the file cannot be written.
    """
    with destination(path, suffix) as place:
        trained = Answering(student, example_inputs, output)
        run, axes = write(trained, place)
        found = checked(trained, run, axes, tolerance=tolerance, alternative=alternative)
        size = sum(each.stat().st_size for each in place.parent.rglob("*") if each.is_file())
    return Exported(Path(path).expanduser(), kind, size, found.largest, axes, found.mean, found.agreement)
