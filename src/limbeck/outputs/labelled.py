"""Which answers a batch has labels for."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck.context import Context

IGNORED = -100


def labelled_rows(context: Context, rows: Float[Tensor, "M K"]) -> Bool[Tensor, " M"] | None:
    """``False`` for each row of ``rows`` whose label is -100: padding, or a prompt.

    ``None`` where all count: without labels, or with labels that are no class numbers, one for each row.
    """
    targets = context.targets
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.numel() != len(rows):
        return None
    return (targets != IGNORED).flatten()
