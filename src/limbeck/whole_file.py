"""Files that are written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from limbeck.errors import RunError


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a place to write to, which takes the name ``path`` at the end; after an error nothing has changed.

    Raises:
        RunError: if it cannot be written, such as on a full disk.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with whole_file(f"{folder}/plan.yaml") as place:
        ...         _ = place.write_text("version: 1")
        ...     Path(folder, "plan.yaml").read_text()
        'version: 1'
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.new")
    try:
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise RunError(
            f"'{path}' could not be written: {reason}. What was there before is as it was. Free disk "
            "space, or write to another folder."
        ) from error


def write_text(path: Path | str, text: str) -> None:
    """Write a text file, whole or not at all.

    Raises:
        RunError: if it cannot be written.
    """
    with whole_file(path) as place:
        place.write_text(text, encoding="utf-8")
