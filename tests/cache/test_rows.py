import multiprocessing
import os
import signal

import numpy as np
import pytest

from limbeck.cache.files import Files
from limbeck.cache.rows import Rows


def make(place, **options):
    return Rows(Files(place), (4, 3), np.float16, counts={"training": 100}, rows_per_file=30, **options)


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
    with (tmp_path / "training-00000.rows").open("r+b") as file:
        file.seek(5)
        file.write(b"\x07")
    assert make(tmp_path).missing([0, 1]).tolist() == [0]


def test_a_truncated_file_loses_what_was_cut_and_can_be_written_again(tmp_path):
    rows = make(tmp_path)
    rows.write(range(30), values(range(30)))
    rows.close()
    path = tmp_path / "training-00000.rows"
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


def test_rows_of_a_data_set_stay_where_they_are_when_another_is_added(tmp_path):
    rows = make(tmp_path)
    rows.write([99], values([99]))
    rows.close()
    more = Rows(Files(tmp_path), (4, 3), np.float16, counts={"training": 100, "validation": 10}, rows_per_file=30)
    more.write([100], values([7]))
    np.testing.assert_array_equal(more.read([99, 100]).values, values([99, 7]))
    np.testing.assert_array_equal(make(tmp_path).read([99]).values, values([99]))


def test_a_sound_row_is_not_written_again(tmp_path):
    first, second = make(tmp_path), make(tmp_path)
    first.write([3, 4], values([3, 4]))
    second.write([3, 5], values([30, 5]))
    np.testing.assert_array_equal(make(tmp_path).read([3, 4, 5]).values, values([3, 4, 5]))


def test_a_row_is_found_in_a_file_that_another_process_made_later(tmp_path):
    reader, writer = make(tmp_path), make(tmp_path)
    assert not reader.read([3]).there[0]
    writer.write([3], values([3]))
    assert reader.read([3]).there[0]


def _write_all(place, offset):
    rows = make(place)
    for number in np.random.default_rng(offset).permutation(100).tolist():
        rows.write([number], values([number]) + offset)


def test_each_row_is_that_of_one_of_two_processes_that_write_at_the_same_time(tmp_path):
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_write_all, args=(tmp_path, offset)) for offset in (0, 1000)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    found = make(tmp_path).read(range(100))
    assert found.there.all()
    of_one = [(found.values == values(range(100)) + offset).all((1, 2)) for offset in (0, 1000)]
    assert (of_one[0] ^ of_one[1]).all()


def test_a_truncated_file_is_reported_and_reading_does_not_mend_it(tmp_path):
    rows = make(tmp_path)
    rows.write(range(30), values(range(30)))
    rows.close()
    os.truncate(tmp_path / "training-00000.rows", 100)
    assert not make(tmp_path).read([3]).there[0]
    assert make(tmp_path).cut_off() == 30
