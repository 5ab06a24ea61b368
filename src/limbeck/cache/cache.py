"""A teacher's features and logits on disk, and what they were computed from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from limbeck.cache.field import Field, Form
from limbeck.cache.files import Files, files_at
from limbeck.errors import LimbeckError

_HEADER = "header.json"
_VERSION = 1


class CacheError(LimbeckError):
    """A cache cannot be used."""


@dataclass(frozen=True)
class Origin:
    """What the content of a cache was computed from; a cache is used only where all of it is the same.

    Attributes:
        teacher: class of the model.
        weights: hash of its weights.
        data: hash of each data set.
        samples: how many samples the data sets have together.
        views: how many augmented views of each.
        seed: of the views.
        encoding: how features are written down.
    """

    teacher: str
    weights: str
    data: tuple[str, ...]
    samples: int
    views: int
    seed: int
    encoding: str


_WORDS = {
    "teacher": "the teacher's class",
    "weights": "the teacher's weights (hash)",
    "data": "the data or their transform (hash of some samples)",
    "samples": "the number of samples",
    "views": "the number of views",
    "seed": "the seed of the views",
    "encoding": "the encoding",
}


class Cache:
    """A folder of fields, one for each site and one for the logits, all of one origin.

    Args:
        place: a folder, or an address that fsspec reaches.
        origin: what the content must come from.
        rows_per_file: how many samples stand in one file.

    Raises:
        CacheError: if the cache was computed from something else; names what.

    Example:
        >>> import tempfile
        >>> place = tempfile.mkdtemp()
        >>> origin = Origin("Net", "a1", ("d1",), 100, 1, 0, "float16")
        >>> cache = Cache(place, origin)
        >>> Cache(place, Origin("Net", "b2", ("d1",), 100, 1, 0, "float16"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        limbeck.cache.cache.CacheError: The cache in ... Found b2. ...
    """

    def __init__(self, place: str | Path, origin: Origin, *, rows_per_file: int = 4096) -> None:
        self.place, self.origin, self.rows_per_file = str(place), origin, rows_per_file
        self.files = files_at(place)
        with FileLock(self.files.folder / "header.lock"):
            known = read_header(self.files)
            if known is None:
                self._write({})
            else:
                self._compare(known)
        self._fields: dict[str, Field] = {}

    @property
    def rows(self) -> int:
        """How many rows a field can have: one for each view of each sample."""
        return self.origin.samples * self.origin.views

    def field(self, form: Form, shape: tuple[int, ...], *, encoding: str | None = None) -> Field:
        """The field of a site, made if it is not there.

        Raises:
            CacheError: if the site had another shape when it was cached.
        """
        name = str(form)
        if name not in self._fields:
            encoding = encoding or self.origin.encoding
            with FileLock(self.files.folder / "header.lock"):
                fields = dict((read_header(self.files) or {}).get("fields", {}))
                known = fields.get(name, {"shape": list(shape), "encoding": encoding})
                if tuple(known["shape"]) != shape:
                    raise CacheError(
                        f"The cache in '{self.place}' holds '{form.site}' with shape {tuple(known['shape'])}. Found "
                        f"{shape}. Delete the folder '{name}' in it, or give another cache=."
                    )
                fields[name] = known
                self._write(fields)
            self._fields[name] = Field(
                self.files.within(name), shape, known["encoding"], count=self.rows, rows_per_file=self.rows_per_file
            )
        return self._fields[name]

    def close(self) -> None:
        """Let everything that was written reach its place."""
        for each in self._fields.values():
            if each.ready:
                each.rows.close()
        self.files.flush()

    def _write(self, fields: Mapping[str, Any]) -> None:
        content = {"version": _VERSION, **asdict(self.origin), "rows_per_file": self.rows_per_file, "fields": fields}
        path = self.files.local(_HEADER, size=0)
        if path is not None:
            part = path.with_suffix(".part")
            part.write_text(json.dumps(content, indent=2), encoding="utf-8")
            part.replace(path)
            self.files.changed(_HEADER)

    def _compare(self, known: Mapping[str, Any]) -> None:
        self.rows_per_file = int(known["rows_per_file"])
        wanted = {**asdict(self.origin), "data": list(self.origin.data)}
        for key, word in _WORDS.items():
            if known.get(key) != wanted[key]:
                raise CacheError(
                    f"The cache in '{self.place}' was computed with other inputs: {word} was {_shown(known.get(key))}. "
                    f"Found {_shown(wanted[key])}. Delete the cache, or give another place (cache=)."
                )


def read_header(files: Files) -> dict[str, Any] | None:
    """What a cache says of itself; ``None`` for an empty place.

    Raises:
        CacheError: if it is damaged, or of another version.
    """
    path = files.local(_HEADER)
    if path is None or path.stat().st_size == 0:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CacheError(
            f"The header of the cache in '{files.folder}' is damaged: {error}. Delete the cache."
        ) from error
    if content.get("version") != _VERSION:
        raise CacheError(
            f"The cache in '{files.folder}' has version {content.get('version')}. Known here is {_VERSION}. "
            "Delete the cache, or give another place (cache=)."
        )
    return content


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
