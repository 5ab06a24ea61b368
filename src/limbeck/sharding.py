"""Weights that torch's ``fully_shard`` (FSDP2) has split among processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def shards(module: nn.Module) -> bool:
    """Whether ``fully_shard`` was called on this very module.

    Example:
        >>> shards(nn.Linear(2, 2))
        False
    """
    return any(each.__name__ == "FSDPModule" for each in type(module).__mro__)


def is_sharded(model: nn.Module) -> bool:
    """Whether ``fully_shard`` was called on the model or on a part of it.

    Example:
        >>> is_sharded(nn.Sequential(nn.Linear(2, 2)))
        False
    """
    return any(shards(each) for each in model.modules())


@torch.no_grad()
def write(parameter: Tensor, value: Tensor) -> None:
    """Copy a value into a parameter; where that is sharded, each process its part of what the first one has.

    Example:
        >>> layer = nn.Linear(2, 1)
        >>> write(layer.bias, torch.tensor([3.0]))
        >>> layer.bias.item()
        3.0
    """
    mesh, placements = (getattr(parameter, name, None) for name in ("device_mesh", "placements"))
    if mesh is None:
        parameter.copy_(value)
        return
    # Imported here, as a torch that was built for one process has none.
    from torch.distributed.tensor import distribute_tensor

    parameter.copy_(distribute_tensor(value.to(parameter), mesh, placements))
