import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.mapping.best_path import best_path


def every_path(rows: int, columns: int, count: int):
    """All maps that the search may choose among, by enumeration."""
    for chosen in itertools.combinations(range(rows), count):
        if count <= columns:
            kept = itertools.combinations(range(columns), count)
        else:
            free = itertools.combinations_with_replacement(range(columns), count)
            kept = (each for each in free if set(each) == set(range(columns)))
        for places in kept:
            yield list(zip(chosen, places, strict=True))


tables = st.integers(1, 5).flatmap(
    lambda rows: st.integers(1, 4).flatmap(
        lambda columns: st.lists(
            st.lists(st.floats(-1, 1, width=16), min_size=columns, max_size=columns), min_size=rows, max_size=rows
        )
    )
)


@settings(max_examples=150, deadline=None)
@given(table=tables, data=st.data())
def test_sum_is_the_largest_of_all_paths(table, data):
    rows, columns = len(table), len(table[0])
    count = data.draw(st.integers(1, rows))
    path = best_path(table, count)
    allowed = list(every_path(rows, columns, count))
    best = max(sum(table[i][j] for i, j in each) for each in allowed)  # by trying all
    assert path in allowed
    assert sum(table[i][j] for i, j in path) == pytest.approx(best)


def test_equal_scores_give_the_deepest_path():
    assert best_path([[0.0] * 3] * 3, 2) == [(1, 1), (2, 2)]


def test_hundred_sites_take_no_time():
    table = [[(i * 7 + j * 13) % 11 / 11 for j in range(100)] for i in range(100)]
    assert len(best_path(table, 12)) == 12
