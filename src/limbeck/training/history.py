"""What happened during a training, row by row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from limbeck.errors import RunError
from limbeck.whole_file import write_text


class History:
    """Rows of numbers, each a dict with at least ``step``; kept in memory and, if a path is given, as JSON lines.

    Args:
        path: file that each row is appended to.
        rows: what is known already.

    Attributes:
        tell: is called with every row that is added, once it is written; ``None`` for nobody.

    Example:
        >>> history = History()
        >>> history.add(step=1, loss=2.0)
        >>> history.add(step=2, loss=1.0, validation=0.5)
        >>> history.column("validation")
        [(2, 0.5)]
    """

    def __init__(self, path: Path | None = None, rows: Iterable[dict[str, Any]] = ()) -> None:
        self.path = path
        self.rows = list(rows)
        self.tell: Callable[[dict[str, Any]], None] | None = None

    def add(self, **row: Any) -> None:
        """Append a row.

        Raises:
            RunError: if it cannot be written, such as on a full disk.
        """
        self.rows.append(row)
        if self.path is not None:
            self._write(self.path, row)
        if self.tell is not None:
            self.tell(row)

    def _write(self, path: Path, row: dict[str, Any]) -> None:
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise RunError(
                f"'{path}' could not be written: {error.strerror or error}. The run stands at its last "
                "checkpoint. Free disk space, then go on with resume=True (--resume)."
            ) from error

    def column(self, name: str) -> list[tuple[int, Any]]:
        """Step and value of every row that has the name."""
        return [(row["step"], row[name]) for row in self.rows if name in row]

    def cut(self, step: int) -> None:
        """Forget the rows behind a step, as a training resumed there writes them again."""
        self.rows = [row for row in self.rows if row["step"] <= step]
        if self.path is not None:
            write_text(self.path, self.text)

    @property
    def text(self) -> str:
        """The rows as they stand in the file."""
        return "".join(json.dumps(row) + "\n" for row in self.rows)

    @classmethod
    def read(cls, path: Path) -> History:
        """The history of a run folder; a last line that was cut off in writing is left out."""
        rows = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return cls(path, rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
