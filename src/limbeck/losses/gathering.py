"""What every process has seen, on every process."""

from __future__ import annotations

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor


def gathered(rows: Shaped[Tensor, "B ..."]) -> Shaped[Tensor, "M ..."]:
    """The rows of all processes, in the order of their ranks, outside of the autograd graph; as they are without any.

    Example:
        >>> gathered(torch.tensor([1, 2]))
        tensor([1, 2])
    """
    rows = rows.detach()
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    world = dist.get_world_size()
    length = torch.tensor([len(rows)], device=rows.device)
    lengths = [torch.empty_like(length) for _ in range(world)]
    dist.all_gather(lengths, length)
    longest = max(int(each) for each in lengths)
    padded = rows.new_zeros(longest, *rows.shape[1:])
    padded[: len(rows)] = rows
    found = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(found, padded)
    return torch.cat([each[: int(length)] for each, length in zip(found, lengths, strict=True)])
