"""The results of a pair, one file each, and how some of them are picked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.lines import Row

from benchmarks import lines


def append(folder: Path, row: Row) -> None:
    """Add a line to the file of the row's pair."""
    folder.mkdir(parents=True, exist_ok=True)
    lines.append(folder / f"{row['pair']}.jsonl", row)


def read(folder: Path, pair: str | None = None) -> list[Row]:
    """All rows of a folder, or of one pair."""
    files = sorted(folder.glob("*.jsonl")) if pair is None else [folder / f"{pair}.jsonl"]
    return [row for file in files for row in lines.read(file)]


def of(rows: Iterable[Row], **values: Any) -> list[Row]:
    """The rows that have these values.

    Example:
        >>> of([{"kind": "trial", "seed": 1}, {"kind": "final", "seed": 1}], kind="final")
        [{'kind': 'final', 'seed': 1}]
    """
    return [row for row in rows if all(row.get(key) == value for key, value in values.items())]
