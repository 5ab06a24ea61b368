"""What is in a cache, without the teacher or the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from limbeck.cache.cache import read_header
from limbeck.cache.field import Field
from limbeck.cache.remote_files import files_at
from limbeck.errors import CacheError


class FieldState(NamedTuple):
    """How full and how sound one field is."""

    name: str
    shape: tuple[int, ...]
    encoding: str
    rows: int
    of: int
    megabytes: float
    damaged: int


class CacheState(NamedTuple):
    """What a cache was computed from, and its fields."""

    origin: dict[str, Any]
    fields: tuple[FieldState, ...]


def inspect_cache(place: str | Path, *, check: bool = False) -> CacheState:
    """Read the header and the marks of all rows; with ``check`` every row too, against its checksum.

    Raises:
        CacheError: if there is no cache, or its header is damaged.
    """
    files = files_at(place)
    header = read_header(files)
    if header is None:
        raise CacheError(f"There is no cache in '{place}'. Fill one with 'limbeck cache build' or distill(cache=...).")
    counts = {name: each["samples"] * each["views"] for name, each in header["data"].items()}
    count = sum(counts.values())
    states = []
    for name, known in header["fields"].items():
        field = Field(
            files.within(name), known["shape"], known["encoding"], counts=counts, rows_per_file=header["rows_per_file"]
        )
        rows, damaged, size = 0, 0, 0
        if field.ready:
            marked = np.flatnonzero(field.rows.marked(range(count)))
            rows, size = len(marked), field.rows.bytes_per_row * len(marked)
            damaged = len(field.rows.missing(marked)) + field.rows.cut_off() if check else 0
        states.append(FieldState(name, tuple(known["shape"]), known["encoding"], rows, count, size / 1e6, damaged))
    origin = {key: header[key] for key in ("teacher", "weights", "precision", "encoding")}
    for name, each in header["data"].items():
        origin[f"{name} data"] = ", ".join(f"{key} {value}" for key, value in each.items())
    return CacheState(origin, tuple(states))
