"""The best way through a table of scores that never goes back."""

from __future__ import annotations

from collections.abc import Sequence

_Path = tuple[float, tuple[tuple[int, int], ...]]


def best_path(scores: Sequence[Sequence[float]], count: int) -> list[tuple[int, int]]:
    """``count`` cells of the largest sum whose rows rise and whose columns never fall; by dynamic programming.

    Columns rise too where there are enough of them; else every column is used, some more than once. Of equal sums the
    one with later cells is taken. Takes ``count * rows * columns`` steps.

    Args:
        scores: one row for each student site, one column for each teacher site.
        count: how many cells, at most the number of rows.

    Example:
        >>> best_path([[0.9, 0.1], [0.8, 0.2], [0.0, 0.7]], 2)
        [(0, 0), (2, 1)]
        >>> best_path([[0.9, 0.1], [0.8, 0.2], [0.0, 0.7]], 3)   # more cells than columns
        [(0, 0), (1, 0), (2, 1)]
    """
    columns = len(scores[0])
    shared = count > columns
    ends: list[list[_Path | None]] = [
        [(score, ((i, j),)) if not shared or j == 0 else None for j, score in enumerate(row)]
        for i, row in enumerate(scores)
    ]
    for _ in range(count - 1):
        ends = _one_longer(scores, ends, shared=shared)
    last = columns - 1 if shared else 0
    best: _Path | None = None
    for row in ends:
        for end in row[last:]:
            best = _better(best, end)
    return [] if best is None else list(best[1])


def _one_longer(
    scores: Sequence[Sequence[float]], ends: list[list[_Path | None]], *, shared: bool
) -> list[list[_Path | None]]:
    """Of each cell the best path that ends there, one cell longer than the given ones."""
    above: list[_Path | None] = [None] * len(scores[0])
    longer: list[list[_Path | None]] = []
    for i, row in enumerate(scores):
        new: list[_Path | None] = []
        left: _Path | None = None
        for j, score in enumerate(row):
            before = _better(above[j - 1] if j else None, above[j]) if shared else left
            new.append(None if before is None else (before[0] + score, (*before[1], (i, j))))
            left = _better(left, above[j])
        longer.append(new)
        above = [_better(old, end) for old, end in zip(above, ends[i], strict=True)]
    return longer


def _better(first: _Path | None, second: _Path | None) -> _Path | None:
    if first is None or second is None:
        return second if first is None else first
    return second if second[0] >= first[0] else first
