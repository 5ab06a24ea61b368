import shutil

import fsspec
import numpy as np
import pytest

from limbeck.cache import Cache, DataOrigin, Origin
from limbeck.cache.inspecting import inspect_cache
from limbeck.cache.remote_files import RemoteFiles, files_at
from limbeck.cache.rows import Rows
from limbeck.errors import CacheError

DATA = np.arange(40, dtype=np.float32)[:, None].repeat(1000, 1)
ONE_FILE = 10 * (4000 + 8)


@pytest.fixture
def address(tmp_path):
    return f"memory://cache-{tmp_path.name}"


def rows(files):
    return Rows(files, (1000,), np.float32, counts={"training": 40}, rows_per_file=10)


def taken(folder):
    return sum(each.stat().st_size for each in folder.rglob("*.rows"))


def test_remote_rows_are_read_through_a_bounded_copy(address, tmp_path):
    first = rows(RemoteFiles(address, tmp_path / "a"))
    first.write(range(40), DATA)
    first.close()
    assert len(fsspec.filesystem("memory").glob(f"{address}/*.rows")) == 4
    copies = rows(RemoteFiles(address, tmp_path / "b", most_bytes=2 * ONE_FILE))
    for number in (0, 10, 20, 30, 0):
        np.testing.assert_array_equal(copies.read([number]).values, DATA[[number]])
        assert taken(tmp_path / "b") <= 2 * ONE_FILE


def test_what_is_written_through_a_small_copy_is_all_there(address, tmp_path):
    small = rows(RemoteFiles(address, tmp_path / "a", most_bytes=2 * ONE_FILE))
    for number in np.random.default_rng(0).permutation(40).tolist():
        small.write([number], DATA[[number]])
        assert taken(tmp_path / "a") <= 2 * ONE_FILE
    small.close()
    found = rows(RemoteFiles(address, tmp_path / "b")).read(range(40))
    assert found.there.all()
    np.testing.assert_array_equal(found.values, DATA)


def test_the_bound_is_that_of_all_fields_together(address, tmp_path):
    files = RemoteFiles(address, tmp_path / "a", most_bytes=2 * ONE_FILE)
    for name in ("first", "second"):
        rows(files.within(name)).write(range(40), DATA)
    assert taken(tmp_path / "a") <= 2 * ONE_FILE
    assert rows(files.within("first")).read(range(40)).there.all()


def test_a_file_that_another_machine_changed_is_fetched_again(address, tmp_path):
    mine, other = (rows(RemoteFiles(address, tmp_path / name)) for name in "ab")
    mine.write([0], DATA[[0]])
    mine.close()
    other.write([1], DATA[[1]])
    other.close()
    assert rows(RemoteFiles(address, tmp_path / "a")).read([0, 1]).there.all()


def test_copies_of_a_cache_that_was_removed_are_not_used(address, tmp_path):
    first = rows(RemoteFiles(address, tmp_path / "a"))
    first.write([0], DATA[[0]])
    first.close()
    fsspec.filesystem("memory").rm(address, recursive=True)
    assert not rows(RemoteFiles(address, tmp_path / "a")).read([0]).there[0]


def test_rows_of_a_process_that_was_stopped_before_it_sent_them_are_sent_by_the_next(address, tmp_path):
    files = RemoteFiles(address, tmp_path / "a")
    with files.written("header.json") as place:
        place.write_text("{}")
    files.flush()
    rows(files).write([0], DATA[[0]])
    again = rows(RemoteFiles(address, tmp_path / "a"))
    assert again.read([0]).there[0]
    again.close()
    assert rows(RemoteFiles(address, tmp_path / "b")).read([0]).there[0]


def test_what_another_process_of_this_machine_has_not_sent_yet_stays(address, tmp_path):
    files = RemoteFiles(address, tmp_path / "a")
    rows(files).write([0], DATA[[0]])
    second = RemoteFiles(address, tmp_path / "a")
    assert rows(second).read([0]).there[0]
    assert f"delete '{tmp_path / 'a'}'" in second.how_to_remove


def test_copies_of_a_cache_within_another_folder_stay_when_that_folder_is_looked_at(address, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".cache/limbeck/memory/x").mkdir(parents=True)
    (tmp_path / "own").mkdir()
    rows(files_at(f"{address}/a/b")).write([0], DATA[[0]])
    for other in (f"{address}/a", "memory://x/../../../../own"):
        files_at(other)
    assert rows(files_at(f"{address}/a/b")).read([0]).there[0]
    assert (tmp_path / "own").exists()


def test_an_address_that_cannot_be_reached_is_an_error_that_says_what_to_do():
    with pytest.raises(CacheError, match="give a folder"):
        files_at("nosuchscheme://place")


def test_a_remote_cache_is_read_by_another_machine_and_nobody_is_told_to_delete_its_copies(
    address, tmp_path, monkeypatch
):
    data = {"training": DataOrigin("d", 40)}
    monkeypatch.setenv("HOME", str(tmp_path))
    cache = Cache(address, Origin("Net", "a1", data, "float32"))
    cache.field("site", (5,)).rows.write([3], np.ones((1, 5), np.float32))
    cache.close()
    with pytest.raises(CacheError, match=f"remove '{address}', if nobody else reads it") as found:
        Cache(address, Origin("Net", "b2", data, "float32"))
    assert str(tmp_path / ".cache") not in str(found.value)
    shutil.rmtree(tmp_path / ".cache")
    (state,) = inspect_cache(address, check=True).fields
    assert (state.rows, state.damaged) == (1, 0)


def test_looking_at_a_wrong_address_makes_nothing(address, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(CacheError, match="There is no cache"):
        inspect_cache(address)
    assert not list(tmp_path.rglob("*.json"))
    assert not fsspec.filesystem("memory").exists(address)
