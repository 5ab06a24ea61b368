"""The files of a cache in a folder of this machine."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from limbeck.errors import CacheError, RunError
from limbeck.whole_file import whole_file

_CHUNK = 1 << 24
# How file systems and C libraries say that they cannot reserve room.
_CANNOT_RESERVE = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


class Files:
    """Named files in a folder, which is made when the first is written.

    Args:
        folder: where they are.

    Example:
        >>> import tempfile
        >>> files = Files(tempfile.mkdtemp())
        >>> files.local("a.rows") is None, files.local("a.rows", size=10).stat().st_size
        (True, 10)
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def place(self) -> str:
        """Where they are, as the user wrote it."""
        return str(self.folder)

    @property
    def how_to_remove(self) -> str:
        """What to do to be rid of them."""
        return f"delete '{self.folder}'"

    def local(self, name: str, *, size: int | None = None) -> Path | None:
        """The path of a file; made of so many zeros if ``size`` is given, else ``None`` if it is not there.

        Raises:
            CacheError: if there is no room for it.
        """
        path = self.folder / name
        if not path.exists():
            if size is None:
                return None
            with self.locked(name):
                if not path.exists():
                    _make(path, size)
        return path

    def holds(self, name: str) -> bool:  # noqa: ARG002 - nothing is ever taken away here
        """Whether a file that was there still is."""
        return True

    @contextmanager
    def written(self, name: str) -> Iterator[Path]:
        """Give a place to write a small file to; it is there whole or not at all.

        Raises:
            CacheError: if it cannot be written.
        """
        self._make_folder()
        try:
            with whole_file(self.folder / name) as place:
                yield place
        except RunError as error:
            raise CacheError(f"The cache in '{self.place}' must be written. {error}") from error
        self.changed(name)

    @contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keep other processes, which lock it too, from a file.

        Raises:
            CacheError: if the folder cannot be written.
        """
        self._make_folder()
        # One lock for all of this process, which may take it again while it holds it.
        lock = FileLock(self.folder / f"{name}.lock", is_singleton=True)
        try:
            lock.acquire()
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            yield
        finally:
            lock.release()

    def changed(self, name: str) -> None:
        """Remember that a file was written to."""

    def flush(self) -> None:
        """Bring what changed to where it belongs."""

    def within(self, name: str) -> Files:
        """The files of a folder inside."""
        return Files(self.folder / name)

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> CacheError:
        return CacheError(
            f"A cache needs a folder that can be written. Found '{self.folder}': {error.strerror or error}. "
            "Give another place (cache=)."
        )


def lengthen(path: Path, size: int) -> None:
    """Give a file that was cut off its length again, in zeros.

    Raises:
        CacheError: if there is no room for it.
    """
    if path.stat().st_size < size:
        try:
            _reserve(path, size)
        except OSError as error:
            raise _no_room(path, size, error) from error


def _make(path: Path, size: int) -> None:
    try:
        with whole_file(path) as place:
            place.touch()
            _reserve(place, size)
    except RunError as error:
        cause = error.__cause__
        raise _no_room(path, size, cause if isinstance(cause, OSError) else OSError(str(error))) from error


def _reserve(path: Path, size: int) -> None:
    """Lengthen a file by zeros whose room on disk is taken.

    What is written through memory to a file with holes ends the process (SIGBUS) when the disk is full.
    """
    with path.open("ab") as file:
        if size and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                if error.errno not in _CANNOT_RESERVE:
                    raise
        missing = size - os.fstat(file.fileno()).st_size
        while missing > 0:
            missing -= file.write(bytes(min(missing, _CHUNK)))


def _no_room(path: Path, size: int, error: OSError) -> CacheError:
    return CacheError(
        f"The cache needs {size / 1e6:.1f} MB for '{path}'. Found that the disk cannot give them: "
        f"{error.strerror or error}. Free some, give another place (cache=), or store less (cache_encoding='int8', "
        "cache_views=)."
    )
