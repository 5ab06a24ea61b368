"""Running the user's model for a look, and leaving it exactly as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Inside: evaluation mode, frozen parameters, fixed random numbers. Afterwards: everything as before.

    Training flags of every submodule, ``requires_grad`` of every parameter, buffers and random states are put back,
    also after an error.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        >>> with untouched(model):
        ...     model.training, model[0].weight.requires_grad
        (False, False)
        >>> model.training, model[0].weight.requires_grad
        (True, True)
    """
    flags = [(module, module.training) for module in model.modules()]
    parameters = [(each, each.requires_grad) for each in model.parameters()]
    buffers = [
        (module, name, buffer, buffer._version, buffer.clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    devices = sorted({each.device.index or 0 for each, _ in parameters if each.device.type == "cuda"})
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        try:
            model.eval()
            for each, _ in parameters:
                each.requires_grad_(False)
            yield
        finally:
            for each, needed_grad in parameters:
                each.requires_grad_(needed_grad)
            _restore_buffers(model, buffers)
            # Some models drop what they cached for evaluation when they are told to train.
            model.train()
            model.train(flags[0][1])
            for module, flag in flags:
                module.training = flag


def _restore_buffers(model: nn.Module, saved: list[tuple[nn.Module, str, Tensor, int, Tensor]]) -> None:
    known = {(id(module), name) for module, name, *_ in saved}
    for module in model.modules():
        for name, buffer in list(module._buffers.items()):
            if buffer is not None and (id(module), name) not in known:
                module._buffers[name] = None
    with torch.no_grad():
        for module, name, buffer, version, values in saved:
            module._buffers[name] = buffer
            if buffer._version != version:
                buffer.copy_(values)
