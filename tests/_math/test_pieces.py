import pytest
import torch

from limbeck._math.pieces import in_pieces


@pytest.mark.parametrize(("entries", "calls"), [(100, 1), (15, 1), (6, 3), (1, 5)])
def test_pieces_have_as_many_rows_as_fit(entries, calls):
    sizes = []

    def total(matrix):
        sizes.append(len(matrix))
        return matrix.sum(1)

    matrix = torch.randn(5, 3)
    torch.testing.assert_close(in_pieces(total, matrix, entries=entries), matrix.sum(1))
    assert len(sizes) == calls
    assert sum(sizes) == 5


def test_widest_matrix_counts():
    sizes = []

    def total(narrow, wide):
        sizes.append(len(narrow))
        return narrow.sum(1) + wide.sum(1)

    in_pieces(total, torch.zeros(6, 2), torch.zeros(6, 10), entries=20)
    assert sizes == [2, 2, 2]
