"""How hard each feature term, and the outputs together, pull at the place where the feature is read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import TapNorms


def measure(losses: Float[Tensor, " L"], taps: Sequence[Tensor], shares: Float[Tensor, " L"]) -> TapNorms:
    """Gradient norms at the student's taps, by partial backward passes; the graph stays for the real one.

    The gradients are taken with respect to the raw captured tensors: the canonical feature is a view made after the
    hook, which the output loss does not pass through.

    Args:
        losses: feature terms first, one for each tap, then output terms.
        taps: the raw student tensor of each feature term.
        shares: weight of each loss within its group.

    Example:
        >>> tap = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> losses = torch.stack([tap.square().sum() / 2, -tap.square().sum()])
        >>> norms = measure(losses, [tap], torch.ones(2))
        >>> norms.feature[0].item(), norms.output[0].item(), norms.cosine[0].item()
        (5.0, 10.0, -1.0)
    """
    count = len(taps)
    feature, output, cosine = (torch.full((len(losses),), torch.nan, device=losses.device) for _ in range(3))
    if count in {0, len(losses)}:
        return TapNorms(feature, output, cosine)
    summed = (losses[count:] * shares[count:].to(losses)).sum()
    pulls = torch.autograd.grad(summed, list(taps), retain_graph=True, allow_unused=True)
    for index, (tap, pull) in enumerate(zip(taps, pulls, strict=True)):
        (own,) = torch.autograd.grad(losses[index], [tap], retain_graph=True, allow_unused=True)
        if own is None or pull is None:
            continue
        own, pull = own.detach().float().flatten(), pull.detach().float().flatten()
        feature[index], output[index] = own.norm(), pull.norm()
        cosine[index] = torch.dot(own, pull) / (feature[index] * output[index]).clamp_min(1e-30)
    return TapNorms(feature, output, cosine)


def over_processes(losses: Float[Tensor, " L"], norms: TapNorms | None) -> tuple[Float[Tensor, " L"], TapNorms | None]:
    """The mean of what every process measured, so that all of them weigh alike; unchanged in a single process."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return losses, norms
    together = torch.stack([losses, *(norms or ())]).contiguous()
    dist.all_reduce(together)
    losses, *measured = together / dist.get_world_size()
    return losses, None if norms is None else TapNorms(*measured)
