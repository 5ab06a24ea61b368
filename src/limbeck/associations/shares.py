"""Shares of links that sum to one for each site."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def shares_within(
    scores: Float[Tensor, "R L"], rows: Sequence[int], columns: Sequence[int], *, dim: int
) -> Float[Tensor, "R L"]:
    """Softmax of the links' scores over the teacher sites of each student site (``dim=2``), or the reverse (``dim=1``).

    Example:
        >>> shares_within(torch.zeros(1, 3), [0, 0, 1], [0, 1, 1], dim=2)
        tensor([[0.5000, 0.5000, 1.0000]])
    """
    table = scores.new_full((len(scores), max(rows) + 1, max(columns) + 1), -torch.inf)
    places = torch.tensor(rows, device=scores.device), torch.tensor(columns, device=scores.device)
    table[:, places[0], places[1]] = scores
    # A site without a link has no finite score; its softmax would be NaN in value and gradient.
    empty = torch.isinf(table).all(dim, keepdim=True)
    return table.masked_fill(empty, 0.0).softmax(dim)[:, places[0], places[1]]
