"""The files of a cache: in a folder, or at a remote place with a bounded copy in a folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import fsspec
from filelock import FileLock


class Files:
    """Named files in a folder of this machine.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def local(self, name: str, *, size: int | None = None) -> Path | None:
        """The path of a file; made with so many bytes if ``size`` is given, else ``None`` if it is not there."""
        path = self.folder / name
        if not path.exists():
            if size is None:
                return None
            with FileLock(f"{path}.lock"):
                if not path.exists():
                    _room_for(self.folder, size)
                    # Zeros take no room on disk until they are written.
                    with path.open("wb") as file:
                        file.truncate(size)
        return path

    def changed(self, name: str) -> None:
        """Remember that a file was written to."""

    def flush(self) -> None:
        """Bring what changed to where it belongs."""

    def within(self, name: str) -> Files:
        """The files of a folder inside."""
        return Files(self.folder / name)


class RemoteFiles(Files):
    """Files at any place that fsspec reaches (``s3://``, ``gs://``, ``memory://``, ...), used through a bounded copy.

    Args:
        address: of the remote folder.
        folder: for the copies.
        most_bytes: how much the copies may take together; those that were not used for longest go first.
    """

    def __init__(self, address: str, folder: str | Path, *, most_bytes: int = 20_000_000_000) -> None:
        super().__init__(folder)
        self.address, self.most_bytes = address.rstrip("/"), most_bytes
        self._remote, self._root = fsspec.core.url_to_fs(self.address)
        self._dirty: set[str] = set()

    def local(self, name: str, *, size: int | None = None) -> Path | None:
        """The path of the copy, fetched or made if it is not there."""
        path = self.folder / name
        if not path.exists():
            place = f"{self._root}/{name}"
            if self._remote.exists(place):
                self._make_room(int(self._remote.size(place) or 0))
                fetched = path.with_suffix(".part")
                self._remote.get_file(place, str(fetched))
                fetched.replace(path)
            elif size is not None:
                self._make_room(size)
        found = super().local(name, size=size)
        if found is not None:
            found.touch()
        return found

    def changed(self, name: str) -> None:
        """Remember that a file must be sent."""
        self._dirty.add(name)

    def flush(self) -> None:
        """Send what changed."""
        self._remote.makedirs(self._root, exist_ok=True)
        for name in sorted(self._dirty):
            self._remote.put_file(str(self.folder / name), f"{self._root}/{name}")
        self._dirty.clear()

    def within(self, name: str) -> RemoteFiles:
        """The files of a folder inside, with copies of its own size."""
        return RemoteFiles(f"{self.address}/{name}", self.folder / name, most_bytes=self.most_bytes)

    def _make_room(self, size: int) -> None:
        kept = [each for each in self.folder.glob("*.rows") if each.name not in self._dirty]
        kept.sort(key=lambda each: each.stat().st_mtime)
        taken = sum(each.stat().st_size for each in kept)
        while kept and taken + size > self.most_bytes:
            oldest = kept.pop(0)
            taken -= oldest.stat().st_size
            oldest.unlink()
        _room_for(self.folder, size)


def files_at(place: str | Path, *, copies: str | Path | None = None, most_bytes: int = 20_000_000_000) -> Files:
    """Files in a local folder, or at a remote address if ``place`` has a scheme.

    Args:
        place: path or address.
        copies: folder for copies of remote files; a folder in the user's cache directory if not given.
        most_bytes: how much the copies may take.
    """
    address = str(place)
    if "://" not in address or address.startswith("file://"):
        return Files(address.removeprefix("file://"))
    default = Path.home() / ".cache" / "limbeck" / address.replace("://", "/").strip("/")
    return RemoteFiles(address, copies or default, most_bytes=most_bytes)


def _room_for(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(
            f"'{folder}' needs {size / 1e9:.2f} GB for the next file of the cache. Found {free / 1e9:.2f} GB free."
        )
