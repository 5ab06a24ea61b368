"""Rows of numbers on disk, each with a checksum: written once in any order, read by number."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from limbeck.cache.files import Files, lengthen

_WRITTEN = np.uint64(1 << 32)


class Found(NamedTuple):
    """What was read.

    Attributes:
        values: a row for each number that was asked for; undefined where there is none.
        there: which of them are on disk and sound.
    """

    values: np.ndarray
    there: np.ndarray


class Rows:
    """One row of a fixed shape for each number from 0, in files of a few thousand rows.

    A file holds the rows and, behind them, a mark for each: zero until the row is written, then its checksum. A write
    that was interrupted thus goes on where it stopped, and a row that was cut off or changed counts as missing. Several
    processes may read and write at the same time; a row is written by the first of them.

    Args:
        files: where they are.
        shape: of a row.
        dtype: of its numbers.
        counts: how many rows there can be of each data set; the numbers of one follow those of the one before. Each
            has files of its own, so that the rows of one stay where they are when others come or go.
        rows_per_file: how many stand in one file.

    Example:
        >>> import tempfile
        >>> rows = Rows(Files(tempfile.mkdtemp()), (3,), np.float32, counts={"training": 10})
        >>> rows.write([7], np.ones((1, 3), np.float32))
        >>> rows.read([7, 2]).there
        array([ True, False])
    """

    def __init__(
        self,
        files: Files,
        shape: tuple[int, ...],
        dtype: np.typing.DTypeLike,
        *,
        counts: Mapping[str, int],
        rows_per_file: int = 4096,
    ) -> None:
        self.files = files
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.count = sum(counts.values())
        self._names = [
            f"{name}-{index:05d}.rows" for name, count in counts.items() for index in range(-(-count // rows_per_file))
        ]
        sizes = [
            min(rows_per_file, count - first) for count in counts.values() for first in range(0, count, rows_per_file)
        ]
        # Number of the first row of each file, and behind the last that of the end.
        self._starts = np.cumsum([0, *sizes])
        self._sound: dict[int, np.ndarray] = {}
        self._open: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    @property
    def bytes_per_row(self) -> int:
        """Size of a row on disk, its mark included."""
        return int(np.prod(self.shape, dtype=int)) * self.dtype.itemsize + 8

    @property
    def on_disk(self) -> int:
        """What the files take on this machine, in bytes."""
        paths = [self.files.folder / name for name in self._names]
        return sum(path.stat().st_size for path in paths if path.exists())

    def read(self, numbers: Sequence[int] | np.ndarray) -> Found:
        """The rows with these numbers; each is checked the first time that this process reads it."""
        numbers = np.asarray(numbers, dtype=np.int64)
        values = np.empty((len(numbers), *self.shape), self.dtype)
        there = np.zeros(len(numbers), bool)
        for file, places, inside in self._by_file(numbers):
            found = self._mapped(file, writing=False)
            if found is None:
                continue
            there[places] = self._checked(file, *found, inside)
            values[places] = found[0][inside]
        return Found(values, there)

    def write(self, numbers: Sequence[int] | np.ndarray, values: np.ndarray) -> None:
        """Write rows; those that are there and sound stay as they are.

        Raises:
            CacheError: if there is no room for them.
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        values = np.ascontiguousarray(values, self.dtype).reshape(len(numbers), *self.shape)
        for file, places, inside in self._by_file(numbers):
            found = self._mapped(file, writing=True)
            if found is None:
                continue
            mapped, marks = found
            with self.files.locked(self._names[file]):
                new = ~self._checked(file, mapped, marks, inside)
                inside, places = inside[new], places[new]
                mapped[inside] = values[places]
                marks[inside] = [_mark(values[place]) for place in places]
            self._seen(file)[inside] = True
            self.files.changed(self._names[file])

    def missing(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """Those of the numbers whose row is not there, or not sound."""
        numbers = np.asarray(numbers, dtype=np.int64)
        sound = np.zeros(len(numbers), bool)
        for file, places, inside in self._by_file(numbers):
            found = self._mapped(file, writing=False)
            if found is not None:
                sound[places] = self._checked(file, *found, inside)
        return numbers[~sound]

    def cut_off(self) -> int:
        """How many rows stand in files that are shorter than they were made: none of them can be read."""
        paths = [self.files.local(name) for name in self._names]
        short = [file for file, path in enumerate(paths) if path is not None and self._is_short(file, path)]
        return sum(self._rows_in(file) for file in short)

    def marked(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """Which of the rows are marked as written, sound or not."""
        numbers = np.asarray(numbers, dtype=np.int64)
        marked = np.zeros(len(numbers), bool)
        for file, places, inside in self._by_file(numbers):
            found = self._mapped(file, writing=False)
            if found is not None:
                marked[places] = found[1][inside] > 0
        return marked

    def flush(self) -> None:
        """Let what was written reach the disk, and the remote place if there is one."""
        for mapped, marks in self._open.values():
            for each in (mapped, marks):
                base = each if isinstance(each, np.memmap) else each.base
                if isinstance(base, np.memmap) and base.mode != "r":
                    base.flush()
        self.files.flush()

    def close(self) -> None:
        """Flush, and let go of the files."""
        self.flush()
        self._open.clear()

    def _by_file(self, numbers: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
        """For each file: its number, which of the asked it holds, and where; sorted, as a cold disk likes it."""
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= self.count):
            raise IndexError(f"rows are numbered from 0 to {self.count - 1}; found {numbers.min()} to {numbers.max()}")
        order = np.argsort(numbers, kind="stable")
        files = np.searchsorted(self._starts, numbers[order], "right") - 1
        cuts = np.flatnonzero(np.diff(files)) + 1
        return [
            (int(file[0]), places, numbers[places] - self._starts[file[0]])
            for file, places in zip(np.split(files, cuts), np.split(order, cuts), strict=True)
            if len(places)
        ]

    def _checked(self, file: int, mapped: np.ndarray, marks: np.ndarray, inside: np.ndarray) -> np.ndarray:
        seen = self._seen(file)
        for place in inside[~seen[inside]]:
            seen[place] = marks[place] != 0 and marks[place] == _mark(mapped[place])
        return seen[inside]

    def _seen(self, file: int) -> np.ndarray:
        """Which rows of a file this process has checked or written."""
        return self._sound.setdefault(file, np.zeros(self._rows_in(file), bool))

    def _rows_in(self, file: int) -> int:
        return int(self._starts[file + 1] - self._starts[file])

    def _is_short(self, file: int, path: Path) -> bool:
        return path.stat().st_size < self._rows_in(file) * self.bytes_per_row

    def _mapped(self, file: int, *, writing: bool) -> tuple[np.ndarray, np.ndarray] | None:
        """Rows and marks of a file as arrays over the file; ``None`` if there is no such file to read."""
        name, held = self._names[file], self._open.get(file)
        if held is not None and not self.files.holds(name):
            # The copy of a remote file made room for others; what was checked in it may not be in the next.
            held = None
            self._sound.pop(file, None)
        if held is not None and (not writing or held[0].flags.writeable):
            return held
        rows = self._rows_in(file)
        path = self.files.local(name, size=rows * self.bytes_per_row if writing else None)
        if path is None:
            return None
        size = rows * int(np.prod(self.shape, dtype=int)) * self.dtype.itemsize
        if self._is_short(file, path):
            if not writing:
                return None
            # What was cut off becomes zeros, which no mark fits.
            lengthen(path, rows * self.bytes_per_row)
        mode = "r+" if writing else "r"
        mapped = np.memmap(path, self.dtype, mode, 0, (rows, *self.shape)) if size else np.empty((rows, *self.shape))
        marks = np.memmap(path, np.uint64, mode, size, (rows,))
        self._open[file] = (mapped, marks)
        return self._open[file]


def _mark(row: np.ndarray) -> np.uint64:
    return _WRITTEN | np.uint64(zlib.crc32(np.ascontiguousarray(row).view(np.uint8).data))
