import multiprocessing
import os
import signal

import fsspec
import numpy as np
import pytest

from limbeck.cache.files import Files, RemoteFiles
from limbeck.cache.rows import Rows


def make(place, **options):
    return Rows(Files(place), (4, 3), np.float16, count=100, rows_per_file=30, **options)


def values(numbers):
    return np.stack([np.full((4, 3), number, np.float16) for number in numbers])


def test_rows_come_back_in_any_order_and_in_another_process(tmp_path):
    numbers = [99, 0, 31, 7]
    first = make(tmp_path)
    first.write(numbers, values(numbers))
    first.close()
    found = make(tmp_path).read([31, 5, 99])
    assert found.there.tolist() == [True, False, True]
    np.testing.assert_array_equal(found.values[[0, 2]], values([31, 99]))


def test_a_changed_byte_makes_its_row_missing_and_no_other(tmp_path):
    rows = make(tmp_path)
    rows.write([0, 1], values([0, 1]))
    rows.close()
    with (tmp_path / "00000.rows").open("r+b") as file:
        file.seek(5)
        file.write(b"\x07")
    assert make(tmp_path).missing([0, 1]).tolist() == [0]


def test_a_truncated_file_loses_what_was_cut_and_can_be_written_again(tmp_path):
    rows = make(tmp_path)
    rows.write(range(30), values(range(30)))
    rows.close()
    path = tmp_path / "00000.rows"
    os.truncate(path, path.stat().st_size // 2)
    again = make(tmp_path)
    missing = again.missing(range(30))
    assert len(missing) == 30  # the marks stand at the end of the file
    again.write(missing, values(missing))
    assert not len(make(tmp_path).missing(range(30)))


def _write_forever(place):
    rows = make(place)
    for number in range(100):
        rows.write([number], values([number]))
        if number == 50:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_writer_leaves_sound_rows(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_write_forever, args=(tmp_path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    rows = make(tmp_path)
    found = rows.read(range(100))
    assert found.there.sum() == 51
    np.testing.assert_array_equal(found.values[found.there], values(np.flatnonzero(found.there)))


def test_a_number_out_of_range_is_refused(tmp_path):
    with pytest.raises(IndexError, match="0 to 99"):
        make(tmp_path).read([100])


def test_remote_rows_are_read_through_a_bounded_copy(tmp_path):
    address = f"memory://cache-{tmp_path.name}"
    rows = Rows(RemoteFiles(address, tmp_path / "a"), (1000,), np.float32, count=40, rows_per_file=10)
    numbers = range(40)
    data = np.arange(40, dtype=np.float32)[:, None].repeat(1000, 1)
    rows.write(numbers, data)
    rows.close()
    assert len(fsspec.filesystem("memory").glob(f"{address}/*.rows")) == 4
    one_file = 10 * (4000 + 8)
    files = RemoteFiles(address, tmp_path / "b", most_bytes=2 * one_file)
    copies = Rows(files, (1000,), np.float32, count=40, rows_per_file=10)
    for number in (0, 10, 20, 30, 0):
        np.testing.assert_array_equal(copies.read([number]).values, data[[number]])
        assert sum(each.stat().st_size for each in (tmp_path / "b").glob("*.rows")) <= 2 * one_file
