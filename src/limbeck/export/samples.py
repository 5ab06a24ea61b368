"""Which axes of example inputs may change, and the inputs at another length."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from limbeck.batch import size_of

Inputs = Mapping[str, Tensor]


def free_axes(inputs: Inputs) -> dict[str, dict[int, str]]:
    """Which axes of which input may change: the samples, and the length where every input is ``[B, L]`` integers.

    Example:
        >>> import torch
        >>> free_axes({"input_ids": torch.ones(4, 9, dtype=torch.long), "attention_mask": torch.ones(4, 9).bool()})
        {'input_ids': {0: 'batch', 1: 'length'}, 'attention_mask': {0: 'batch', 1: 'length'}}
        >>> free_axes({"x": torch.ones(4, 3, 8, 8)})
        {'x': {0: 'batch'}}
    """
    batch = size_of(inputs)
    text = all(tensor.ndim == 2 and not tensor.is_floating_point() for tensor in inputs.values())
    text = text and len({tensor.shape[1] for tensor in inputs.values()}) == 1
    axes = {0: "batch", 1: "length"} if text else {0: "batch"}
    return {name: dict(axes) if _holds_samples(tensor, batch) else {} for name, tensor in inputs.items()}


def shorter(inputs: Inputs) -> dict[str, Tensor]:
    """Text inputs without their last position; the first sample of an ``attention_mask`` is padded to the half.

    Example:
        >>> import torch
        >>> shorter({"attention_mask": torch.ones(2, 5, dtype=torch.long)})["attention_mask"].tolist()
        [[1, 1, 0, 0], [1, 1, 1, 1]]
    """
    cut = {name: tensor[:, : max(tensor.shape[1] - 1, 1)].clone() for name, tensor in inputs.items()}
    if "attention_mask" in cut:
        # Without padding in it, a check would not see an exported file that ignores its mask.
        mask = cut["attention_mask"]
        mask[0, max(mask.shape[1] // 2, 1) :] = 0
    return cut


def _holds_samples(tensor: Tensor, batch: int) -> bool:
    return tensor.ndim > 0 and len(tensor) == batch
