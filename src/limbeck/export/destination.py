"""Writes a file under its name only once it is whole and checked."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from limbeck.errors import RunError


@contextlib.contextmanager
def destination(path: Path | str, suffix: str | None) -> Iterator[Path]:
    """Give a place to write to; move everything written there beside ``path`` at the end, nothing after an error.

    An earlier file of that name stays as it was until then.

    Args:
        path: the file, or a folder.
        suffix: what the name of a file must end in; ``None`` for a folder.

    Raises:
        RunError: if the name has another suffix, or the folder cannot be written.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with destination(f"{folder}/student.onnx", ".onnx") as place:
        ...         _ = place.write_text("graph")
        ...     Path(folder, "student.onnx").read_text()
        'graph'
    """
    path = Path(path).expanduser()
    if suffix is not None and path.suffix != suffix:
        raise RunError(f"This export needs a file name ending in {suffix}. Found '{path}'. Write {path.stem}{suffix}.")
    if suffix is not None and path.is_dir():
        raise RunError(f"An export needs the name of a file. {path} is a folder. Write {path / ('student' + suffix)}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
            yield Path(folder) / path.name
            for written in Path(folder).iterdir():
                _put(written, path.parent / written.name)
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"An export needs to write {path}. That failed ({error}). Free disk space, or choose another folder."
        ) from error


def _put(written: Path, target: Path) -> None:
    """Move a file, or a folder file by file, so that what lies beside them in an earlier one stays."""
    if not written.is_dir():
        written.replace(target)
        return
    target.mkdir(exist_ok=True)
    for each in written.iterdir():
        _put(each, target / each.name)
