import resource
import subprocess
import sys

import pytest

from limbeck.cache import files as files_module
from limbeck.cache.files import Files, lengthen
from limbeck.errors import CacheError, LimbeckError

ROWS = """
import resource
import numpy as np
from limbeck.cache.files import Files
from limbeck.cache.rows import Rows
from limbeck.errors import CacheError

rows = Rows(Files({place!r}), (1000,), np.float32, counts={{"training": 100}}, rows_per_file=50)
rows.write([0], np.ones((1, 1000), np.float32))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    rows.write([50], np.ones((1, 1000), np.float32))
except CacheError as error:
    print(error)
print(rows.read([0, 50]).there.tolist())
"""


def test_a_full_disk_is_an_error_that_says_what_to_do_and_ends_no_process(tmp_path):
    """The limit on the size of a file stands for a full disk: it refuses to give room in the same call."""
    place = str(tmp_path / "cache")
    done = subprocess.run([sys.executable, "-c", ROWS.format(place=place)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "needs 0.2 MB" in done.stdout
    assert "Free some" in done.stdout
    assert done.stdout.endswith("[True, False]\n")
    assert [each.name for each in (tmp_path / "cache").glob("*.rows")] == ["training-00000.rows"]


def test_room_is_taken_when_a_file_is_made(tmp_path):
    made = Files(tmp_path).local("a.rows", size=1_000_000)
    assert made.stat().st_blocks * 512 >= 1_000_000
    assert made.read_bytes() == bytes(1_000_000)


def test_room_is_taken_where_the_system_cannot_reserve_it(tmp_path, monkeypatch):
    monkeypatch.delattr(files_module.os, "posix_fallocate", raising=False)
    made = Files(tmp_path).local("a.rows", size=1_000_000)
    assert made.stat().st_blocks * 512 >= 1_000_000
    made.write_bytes(b"abc")
    lengthen(made, 1_000_000)
    assert made.read_bytes() == b"abc" + bytes(999_997)


def test_a_header_that_cannot_be_written_is_an_error_that_says_what_to_do(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(CacheError, match="Free disk space"), Files(tmp_path).written("header.json") as place:
            place.write_text("x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "header.json").exists()


def test_a_folder_that_cannot_be_made_is_an_error_that_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="Give another place"), Files(tmp_path / "file" / "cache").locked("a"):
        pass
    assert issubclass(CacheError, LimbeckError)  # the command line ends with exit code 2


def test_looking_makes_no_folder(tmp_path):
    assert Files(tmp_path / "none").within("field").local("a.rows") is None
    assert not (tmp_path / "none").exists()
