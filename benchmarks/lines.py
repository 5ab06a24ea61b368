"""Results on disk: one JSON object a line, only ever added to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def append(file: Path, row: Row) -> None:
    """Add a line, whole, whoever else adds to the file."""
    line = (json.dumps(row, sort_keys=True) + "\n").encode()
    # One write to a file opened for appending is not mixed with another process's.
    opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(opened, line)
    finally:
        os.close(opened)


def read(file: Path) -> list[Row]:
    """All rows; none if there is no file, and without a line that was cut off."""
    return list(_rows(file.read_text(encoding="utf-8").splitlines())) if file.is_file() else []


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue
