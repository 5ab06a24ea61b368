"""Which position of a feature the head reads, found by the gradient."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from limbeck.capture.layouts import Layout
from limbeck.capture.sites import Place


def position_read(
    place: Place, layout: Layout, logits: Tensor | None, mask: Bool[Tensor, "B N"] | None = None
) -> int | None:
    """The one position of a site that the logits depend on.

    Args:
        place: the site.
        layout: its axes.
        logits: what the head answers.
        mask: ``True`` at positions that are not padding.

    Returns:
        0 for a class token, -1 for the last valid position, ``None`` if the logits depend on more positions than one
        (or on none by a differentiable path).
    """
    if layout.positions == 1 or logits is None or place.seen.tensor is None:
        return None
    if isinstance(place.call.module, nn.RNNBase) and not place.reads_input:
        gradient = _gradient(logits, place.seen.tensor)
        if gradient is None:
            # The head reads the layer's last state instead of its sequence; of one direction, that is its last position.
            return None if place.call.module.bidirectional else -1
    else:
        gradient = _gradient(logits, place.seen.tensor)
    if gradient is None:
        return None
    axes = [i for i, role in enumerate(layout.axes) if role not in "BC"]
    ordered = gradient.permute(layout.axes.index("B"), *axes, layout.axes.index("C"))
    read = ordered.flatten(1, -2).abs().amax(-1) > 0
    return _only(read, layout.prefix, mask)


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


def _gradient(logits: Tensor, tensor: Tensor) -> Tensor | None:
    if not logits.requires_grad or not tensor.requires_grad:
        return None
    # Weights of all sizes: a plain sum has no gradient behind a softmax or a normalisation.
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(logits.shape, generator=generator, dtype=torch.float32).to(logits)
    (gradient,) = torch.autograd.grad((logits * weights).sum(), tensor, retain_graph=True, allow_unused=True)
    return gradient
