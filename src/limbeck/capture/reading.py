"""Which position of a feature the head reads, found by the gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from limbeck.capture.layouts import Layout
from limbeck.capture.sites import Place


def position_read(
    place: Place, layout: Layout, readers: Sequence[Tensor], mask: Bool[Tensor, "B N"] | None = None
) -> int | None:
    """The one position of a site that later tensors were computed from.

    Args:
        place: the site.
        layout: its axes.
        readers: the later tensors.
        mask: ``True`` at positions that are not padding.

    Returns:
        0 for a class token, -1 for the last valid position, ``None`` if the readers depend on more positions than
        one (or on none by a differentiable path).
    """
    if layout.positions == 1 or place.seen.tensor is None:
        return None
    gradients = [each for reader in readers if (each := gradient_of(reader, place.seen.tensor)) is not None]
    if not gradients:
        # The head of a recurrent net may read its last state instead of its sequence: in one direction, the last
        # position.
        recurrent = isinstance(place.call.module, nn.RNNBase) and not place.reads_input
        return -1 if recurrent and not place.call.module.bidirectional else None
    axes = [i for i, role in enumerate(layout.axes) if role not in "BC"]
    ordered = torch.stack(gradients).abs().amax(0).permute(layout.axes.index("B"), *axes, layout.axes.index("C"))
    read = ordered.flatten(1, -2).amax(-1) > 0
    return _only(read, layout.prefix, mask)


def gradient_of(reader: Tensor, tensor: Tensor) -> Tensor | None:
    """The gradient of a random combination of a tensor's numbers; ``None`` if there is no differentiable path.

    Random, because a plain sum has no gradient behind a softmax or a normalisation.
    """
    if not reader.requires_grad or not tensor.requires_grad:
        return None
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(reader.shape, generator=generator, dtype=torch.float32).to(reader)
    (gradient,) = torch.autograd.grad((reader * weights).sum(), tensor, retain_graph=True, allow_unused=True)
    return gradient


def _only(read: Bool[Tensor, "B N"], prefix: int, mask: Bool[Tensor, "B N"] | None) -> int | None:
    first = torch.zeros_like(read)
    first[:, : max(1, prefix)] = True
    # Several tokens in front may be read together, a class and a distillation token: the first stands for them.
    if read[:, 0].all() and not (read & ~first).any():
        return 0
    valid = mask if mask is not None and mask.shape == read.shape else torch.ones_like(read)
    places = torch.arange(read.shape[1], device=read.device)
    last = torch.zeros_like(read)
    last[torch.arange(len(read)), (valid * places).argmax(1)] = True
    return -1 if torch.equal(read, last) else None
