"""Results on disk: one JSON object a line, one file a pair, only ever added to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def append(folder: Path, row: Row) -> None:
    """Add a line to the file of the row's pair, whole, whoever else adds to it."""
    folder.mkdir(parents=True, exist_ok=True)
    line = (json.dumps(row, sort_keys=True) + "\n").encode()
    # One write to a file opened for appending is not mixed with another process's.
    file = os.open(folder / f"{row['pair']}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def read(folder: Path, pair: str | None = None) -> list[Row]:
    """All rows of a folder, or of one pair; a line that was cut off is left out."""
    files = sorted(folder.glob("*.jsonl")) if pair is None else [folder / f"{pair}.jsonl"]
    return [row for file in files if file.is_file() for row in _rows(file.read_text(encoding="utf-8").splitlines())]


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    for line in lines:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def of(rows: Iterable[Row], **values: Any) -> list[Row]:
    """The rows that have these values.

    Example:
        >>> of([{"kind": "trial", "seed": 1}, {"kind": "final", "seed": 1}], kind="final")
        [{'kind': 'final', 'seed': 1}]
    """
    return [row for row in rows if all(row.get(key) == value for key, value in values.items())]
