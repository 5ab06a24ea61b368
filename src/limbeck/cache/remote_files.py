"""The files of a cache at a remote place, used through copies on this machine that take a bounded room."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fsspec
from filelock import FileLock

from limbeck.cache.files import Files
from limbeck.errors import CacheError

MOST_BYTES = 20_000_000_000
_ID = "cache-id"


class RemoteFiles(Files):
    """Files at any place that fsspec reaches (``s3://``, ``gs://``, ``memory://``, ...), used through copies.

    Copies are of one remote cache: where it was removed or made anew, those of the one before are thrown away. A file
    that another machine has changed is fetched again.

    Args:
        address: of the remote folder.
        folder: for the copies.
        most_bytes: how much the copies of rows may take together; those that were not used for longest go first.

    Raises:
        CacheError: if the address cannot be reached.
    """

    def __init__(self, address: str, folder: str | Path, *, most_bytes: int = MOST_BYTES) -> None:
        super().__init__(folder)
        self.address = address.rstrip("/")
        self._copies, self._prefix = _Copies.of(self.address, self.folder, most_bytes), ""

    @property
    def place(self) -> str:
        """The address."""
        return self.address

    @property
    def how_to_remove(self) -> str:
        """The remote files, as copies of theirs go by themselves; the copies, where there are no others yet."""
        if self._copies.id is None:
            return f"delete '{self._copies.folder}', as nothing of it was sent to '{self.address}'"
        return f"remove '{self.address}', if nobody else reads it"

    def local(self, name: str, *, size: int | None = None) -> Path | None:
        """The path of the copy, fetched or made if it is not there."""
        path, key = self.folder / name, self._prefix + name
        if key not in self._copies.known or not path.exists():
            self._make_folder()
            with self.locked(name):
                self._copies.fetch(key, path)
            if not path.exists() and size is not None:
                self._copies.make_room(size)
            self._copies.known.add(key)
        found = super().local(name, size=size)
        if found is not None:
            found.touch()
        return found

    def holds(self, name: str) -> bool:
        """Whether the copy was not thrown away to make room."""
        return (self.folder / name).exists()

    def changed(self, name: str) -> None:
        """Remember that a file must be sent."""
        self._copies.dirty.add(self._prefix + name)

    def flush(self) -> None:
        """Send what changed."""
        self._copies.send()

    def within(self, name: str) -> RemoteFiles:
        """The files of a folder inside; their copies share the bound."""
        inside = RemoteFiles.__new__(RemoteFiles)
        Files.__init__(inside, self.folder / name)
        inside.address, inside._copies = f"{self.address}/{name}", self._copies
        inside._prefix = f"{self._prefix}{name}/"
        return inside


@dataclass
class _Copies:
    """Copies of the files below one remote folder.

    Attributes:
        remote: file system.
        root: folder in it.
        folder: of the copies.
        most_bytes: bound of what rows take.
        dirty: names of what must be sent.
        known: names of what this process has looked up.
    """

    remote: Any
    root: str
    folder: Path
    most_bytes: int
    dirty: set[str] = field(default_factory=set)
    known: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, address: str, folder: Path, most_bytes: int) -> _Copies:
        try:
            remote, root = fsspec.core.url_to_fs(address)
            remote.invalidate_cache()
            copies = cls(remote, root, folder, most_bytes)
            if folder.exists():
                with copies.marking():
                    # Rows mean nothing without the statistics that they were encoded with. What is marked nowhere is
                    # not sent yet, perhaps by a process that goes on with it.
                    if folder.exists() and copies.own_id != copies.id:
                        shutil.rmtree(folder)
        except (OSError, ImportError, ValueError) as error:
            raise CacheError(
                f"A cache needs a folder, or an address that fsspec reaches. Found '{address}': {error}. Install what "
                "the address needs, check the name, or give a folder (cache=)."
            ) from error
        return copies

    @property
    def id(self) -> str | None:
        """What tells this remote cache from one that stood there before."""
        place = f"{self.root}/{_ID}"
        return self.remote.cat_file(place).decode() if self.remote.exists(place) else None

    @property
    def own_id(self) -> str | None:
        """That of the remote cache which the copies are of."""
        own = self.folder / _ID
        return own.read_text() if own.exists() else None

    @contextmanager
    def marking(self) -> Iterator[None]:
        """Keep other processes of this machine from asking or saying which cache this is."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.with_name(f"{self.folder.name}.lock"), is_singleton=True):
            yield

    def fetch(self, name: str, path: Path) -> None:
        """Bring a file here if it is there and not here as it is there."""
        place = f"{self.root}/{name}"
        if name in self.dirty:
            return
        if not self.remote.exists(place):
            # A process that was stopped before it could send it.
            self.dirty.update({name} if path.exists() else ())
            return
        there, stamp = str(self.remote.checksum(place)), _stamp(path)
        if path.exists() and stamp.exists() and stamp.read_text() == there:
            return
        self.make_room(int(self.remote.size(place) or 0))
        fetched = path.with_name(f".{path.name}.fetched")
        self.remote.get_file(place, str(fetched))
        fetched.replace(path)
        stamp.write_text(there)
        self._mark()

    def send(self) -> None:
        """Bring what changed there; what another process threw away to make room is computed again."""
        names = [name for name in sorted(self.dirty) if (self.folder / name).exists()]
        self.dirty.clear()
        if not names:
            return
        self._mark()
        for name in names:
            path, place = self.folder / name, f"{self.root}/{name}"
            self.remote.makedirs(place.rpartition("/")[0], exist_ok=True)
            self.remote.put_file(str(path), place)
            _stamp(path).write_text(str(self.remote.checksum(place)))

    def make_room(self, size: int) -> None:
        """Throw away the copies that were not used for longest, until there is room for so many bytes more."""
        kept = sorted((each.stat().st_mtime, each) for each in self.folder.rglob("*.rows"))
        taken = sum(each.stat().st_size for _, each in kept)
        if taken + size > self.most_bytes:
            self.send()
        while kept and taken + size > self.most_bytes:
            oldest = kept.pop(0)[1]
            taken -= oldest.stat().st_size
            oldest.unlink()

    def _mark(self) -> None:
        """Say, here and there, which cache this is."""
        with self.marking():
            if (there := self.id) is None:
                there = uuid.uuid4().hex
                self.remote.makedirs(self.root, exist_ok=True)
                self.remote.pipe_file(f"{self.root}/{_ID}", there.encode())
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _ID).write_text(there)


def _stamp(path: Path) -> Path:
    """Where it stands how the remote file was when it was the same as the copy."""
    return path.with_name(f"{path.name}.stamp")


def files_at(place: str | Path, *, copies: str | Path | None = None, most_bytes: int = MOST_BYTES) -> Files:
    """Files in a local folder, or at a remote address if ``place`` has a scheme.

    Args:
        place: path or address.
        copies: folder for copies of remote files; a folder in the user's cache directory if not given.
        most_bytes: how much the copies may take.

    Raises:
        CacheError: if the address cannot be reached.
    """
    address = str(place)
    if "://" not in address or address.startswith("file://"):
        return Files(address.removeprefix("file://"))
    # One folder for each, none inside of another: copies of a cache that was removed are thrown away with their folder.
    default = Path.home() / ".cache" / "limbeck" / quote(address.rstrip("/"), safe="")
    return RemoteFiles(address, copies or default, most_bytes=most_bytes)
