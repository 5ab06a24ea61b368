"""A teacher's features and logits on disk, and what they were computed from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from limbeck.cache.encoding import encoding as known_encoding
from limbeck.cache.exactness import Exactness
from limbeck.cache.field import Field
from limbeck.cache.files import Files
from limbeck.cache.origin import Origin
from limbeck.cache.remote_files import RemoteFiles, files_at
from limbeck.cache.top_exactness import TopExactness
from limbeck.errors import CacheError

_HEADER = "header.json"
_VERSION = 2
_FACTS = {"teacher", "weights", "data", "encoding", "precision", "rows_per_file", "fields"}


class Cache:
    """A folder of fields, one for each site and one for the logits, all of one origin.

    Args:
        place: a folder, or an address that fsspec reaches.
        origin: what the content must come from; data sets that the cache does not know are added.
        rows_per_file: how many samples stand in one file.

    Raises:
        CacheError: if the cache was computed from something else; names what.

    Example:
        >>> import tempfile
        >>> from limbeck.cache.origin import DataOrigin
        >>> place, data = tempfile.mkdtemp(), {"training": DataOrigin("d1", 100)}
        >>> cache = Cache(place, Origin("Net", "a1", data, "float16"))
        >>> Cache(place, Origin("Net", "b2", data, "float16"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        limbeck.errors.CacheError: The cache in ... Found b2. ...
    """

    def __init__(self, place: str | Path, origin: Origin, *, rows_per_file: int = 4096) -> None:
        # What cannot be encoded leaves no folder.
        known_encoding(origin.encoding)
        self.place, self.origin, self.rows_per_file = str(place), origin, rows_per_file
        self.files = files_at(place)
        with self.files.locked(_HEADER):
            known = read_header(self.files)
            if known is None:
                self._write({**origin.plain(), "rows_per_file": rows_per_file, "fields": {}})
            else:
                self._compare(known)
                self.rows_per_file = int(known["rows_per_file"])
                if new := {name: asdict(each) for name, each in origin.data.items() if name not in known["data"]}:
                    self._write({**known, "data": {**known["data"], **new}})
        self._fields: dict[str, Field] = {}

    @property
    def counts(self) -> dict[str, int]:
        """How many rows a field can have of each data set: one for each view of each sample."""
        return {name: each.rows for name, each in self.origin.data.items()}

    @property
    def rows(self) -> int:
        """How many rows a field can have."""
        return sum(self.counts.values())

    def field(self, name: str, shape: tuple[int, ...], *, encoding: str | None = None) -> Field:
        """The field of a name, made if it is not there.

        Raises:
            CacheError: if it had another shape when it was cached.
        """
        if name not in self._fields:
            encoding = encoding or self.origin.encoding
            with self.files.locked(_HEADER):
                header = self._header()
                known = header["fields"].get(name)
                if known is None:
                    known = {"shape": list(shape), "encoding": encoding}
                    self._write({**header, "fields": {**header["fields"], name: known}})
            if tuple(known["shape"]) != shape:
                raise CacheError(
                    f"The cache in '{self.place}' holds '{name}' with shape {tuple(known['shape'])}. Found {shape}. "
                    f"Give another place (cache=), or {self.files.how_to_remove}."
                )
            self._fields[name] = Field(
                self.files.within(name), shape, known["encoding"], counts=self.counts, rows_per_file=self.rows_per_file
            )
        return self._fields[name]

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Shape of a sample's values in a field; ``None`` if there is no such field."""
        known = self._header()["fields"].get(name)
        return None if known is None else tuple(known["shape"])

    def exactness(self) -> dict[str, Exactness | TopExactness]:
        """How exact each field was found to be."""
        known = {name: each["exactness"] for name, each in self._header()["fields"].items() if "exactness" in each}
        kinds = {len(kind._fields): kind for kind in (Exactness, TopExactness)}
        return {name: kinds[len(each)](*each) for name, each in known.items()}

    def remember(self, exactness: Mapping[str, Exactness | TopExactness]) -> None:
        """Write down how exact fields are."""
        with self.files.locked(_HEADER):
            header = self._header()
            for name, found in exactness.items():
                header["fields"][name]["exactness"] = list(found)
            self._write(header)

    def require_room(self, size: int) -> None:
        """Refuse a cache that this machine's disk cannot hold.

        Args:
            size: of the fields that were asked for when they are full, in bytes.

        Raises:
            CacheError: if what is free and what these fields take already are less.
        """
        if isinstance(self.files, RemoteFiles):
            return
        taken = sum(each.rows.on_disk for each in self._fields.values() if each.ready)
        free = shutil.disk_usage(self.files.folder).free
        if taken + free < size:
            raise CacheError(
                f"The cache will take {size / 1e6:.1f} MB in '{self.place}'. Found {free / 1e6:.1f} MB free. Free "
                "some, give another place (cache=), or store less (cache_encoding='int8', cache_views=)."
            )

    def close(self) -> None:
        """Let everything that was written reach its place."""
        for each in self._fields.values():
            if each.ready:
                each.rows.close()
        self.files.flush()

    def _header(self) -> dict[str, Any]:
        found = read_header(self.files)
        if found is None:
            raise CacheError(f"The cache in '{self.place}' was removed while it was used. Run again.")
        return found

    def _write(self, content: Mapping[str, Any]) -> None:
        with self.files.written(_HEADER) as place:
            place.write_text(json.dumps({"version": _VERSION, **content}, indent=2), encoding="utf-8")
        self.files.flush()

    def _compare(self, known: Mapping[str, Any]) -> None:
        if differences := self.origin.differences(known):
            raise CacheError(
                f"The cache in '{self.place}' was computed with other inputs: {'; '.join(differences)}. Give another "
                f"place (cache=), or {self.files.how_to_remove}."
            )


def read_header(files: Files) -> dict[str, Any] | None:
    """What a cache says of itself; ``None`` for an empty place.

    Raises:
        CacheError: if it is damaged, or of another version.
    """
    path = files.local(_HEADER)
    if path is None:
        return None
    again = f"Give another place (cache=), or {files.how_to_remove}."
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CacheError(f"The header of the cache in '{files.place}' is damaged: {error}. {again}") from error
    version = content.get("version") if isinstance(content, dict) else None
    if version != _VERSION:
        raise CacheError(f"The cache in '{files.place}' has version {version}. Known here is {_VERSION}. {again}")
    if lacks := sorted(_FACTS - content.keys()):
        raise CacheError(f"The header of the cache in '{files.place}' is damaged: it lacks {', '.join(lacks)}. {again}")
    return content
