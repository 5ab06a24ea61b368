"""Functions of the rows of large matrices, computed without copies of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.utils.checkpoint import checkpoint

PIECE = 2**24
"""Numbers of a piece of logits; 64 MB in float32 for each intermediate result."""
ROWS_ENTRIES = 2**17


def in_pieces(
    function: Callable[..., Float[Tensor, " M"]], *matrices: Shaped[Tensor, "M _"], entries: int
) -> Float[Tensor, " M"]:
    """One number for each row, of as many rows at a time as have ``entries`` numbers.

    What a piece needs for its gradient is computed again in the backward pass, so that no more than one piece's copies
    are alive at any time. Where everything fits into one piece, nothing is computed twice.

    Example:
        >>> in_pieces(lambda a, b: (a * b).sum(1), torch.ones(5, 3), torch.ones(5, 3), entries=6)
        tensor([3., 3., 3., 3., 3.])
    """
    rows = max(1, entries // max(1, *(each.shape[1] for each in matrices)))
    if len(matrices[0]) <= rows:
        return function(*matrices)
    # split, not slices: each slice's gradient would be a zero-filled copy of the whole matrix.
    pieces = zip(*(each.split(rows) for each in matrices), strict=True)
    return torch.cat([checkpoint(function, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces])


def rows_of_square(size: int) -> Iterator[slice]:
    """Slices of the rows of a ``size`` by ``size`` matrix: of :data:`ROWS_ENTRIES` numbers each, and one row at least.

    Example:
        >>> list(rows_of_square(400))
        [slice(0, 327, None), slice(327, 400, None)]
    """
    step = max(1, ROWS_ENTRIES // max(1, size))
    return (slice(start, min(start + step, size)) for start in range(0, size, step))
