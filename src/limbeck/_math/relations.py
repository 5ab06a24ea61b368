"""How the positions of one sample relate to each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

# Far below every score, and far from the end of float32: the difference of two such values is finite.
_NEVER = -1e30


def visible(
    valid: Bool[Tensor, "B N"] | None, positions: int, *, causal: bool, device: torch.device
) -> Bool[Tensor, "#B N N"]:
    """Which position (row) sees which (column): every valid one, or every valid one up to itself.

    Example:
        >>> visible(None, 2, causal=True, device=torch.device("cpu"))
        tensor([[[ True, False],
                 [ True,  True]]])
    """
    seen = torch.ones(1, positions, positions, dtype=torch.bool, device=device)
    if causal:
        seen = seen.tril()
    return seen if valid is None else seen & valid.unsqueeze(1)


def split_channels(x: Float[Tensor, "B N C"], groups: int) -> Float[Tensor, "B A N D"]:
    """The channels in groups of one size, as heads of attention are."""
    return x.unflatten(-1, (groups, -1)).transpose(1, 2)


def relation_divergence(
    student: Float[Tensor, "B A N N"],
    teacher: Float[Tensor, "B A N N"],
    seen: Bool[Tensor, "#B N N"],
) -> Float[Tensor, "B N"]:
    r"""$\mathrm{KL}(\text{teacher} \,\Vert\, \text{student})$ of the softmax of each row of scores; mean over ``A``.

    A row looks only at the positions that it sees; that of a row which sees none is 0.
    """
    hidden = ~seen.unsqueeze(1)
    mine, theirs = (F.log_softmax(each.masked_fill(hidden, _NEVER), dim=-1) for each in (student, teacher))
    return F.kl_div(mine, theirs, reduction="none", log_target=True).sum(-1).mean(1)
