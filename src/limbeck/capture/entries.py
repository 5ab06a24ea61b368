"""Where a network turns integers into numbers that a gradient can reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.batch import tensors
from limbeck.capture.trace import Call, record


def entry_modules(model: nn.Module, inputs: Any) -> frozenset[str]:
    """The modules of which some are first to see integers of the inputs as floats, such as the embedding of tokens.

    Found by running the model twice, on the inputs and on the inputs with their positions reversed: what an embedding
    of positions returns stays the same, what depends on the tokens does not. Later modules are named too; they do no
    harm, for what they return depends on an earlier one.

    Args:
        model: in evaluation mode, parameters frozen (see :func:`~limbeck.capture.untouched.untouched`).
        inputs: as :func:`limbeck.batch.call` takes them.

    Example:
        >>> class Words(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.words, self.places = nn.Embedding(9, 4), nn.Embedding(3, 4)
        ...     def forward(self, x):
        ...         return (self.words(x) + self.places(torch.arange(3))).sum()
        >>> sorted(entry_modules(Words().requires_grad_(False), torch.tensor([[1, 2, 3]])))
        ['words']
    """
    if all(each.is_floating_point() or each.dtype == torch.bool for each in tensors(inputs)):
        return frozenset()
    first, second = record(model, inputs), record(model, _reversed(inputs))
    after = {(each.name, each.count): each for each in second.calls}
    return frozenset(
        each.name for each in first.calls if not each.children and _differ(each, after.get((each.name, each.count)))
    )


def _differ(before: Call, after: Call | None) -> bool:
    """Whether two calls returned other floats, on which no gradient is measured yet."""
    ours, theirs = _floats(before), [] if after is None else _floats(after)
    same_shapes = [each.shape for each in ours] == [each.shape for each in theirs]
    free = not any(each.requires_grad for each in ours)
    return free and same_shapes and any(not torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def _floats(call: Call) -> list[Tensor]:
    return [each.tensor for each in call.outputs if each.tensor is not None and each.tensor.is_floating_point()]


def _reversed(inputs: Any) -> Any:
    if isinstance(inputs, Tensor):
        if inputs.is_floating_point() or inputs.ndim < 2:
            return inputs
        flipped = inputs.flip(-1)
        return inputs.roll(1, 0) if torch.equal(flipped, inputs) else flipped
    if isinstance(inputs, Mapping):
        return {name: each if "mask" in name else _reversed(each) for name, each in inputs.items()}
    if isinstance(inputs, tuple | list):
        return tuple(_reversed(each) for each in inputs)
    return inputs
