"""How hard each feature term, and the outputs together, pull at the place where the feature is read."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor
from torch.autograd.graph import GradientEdge

from limbeck.balancers.family import TapNorms
from limbeck.capture.capture import Captured
from limbeck.errors import ModelError, SiteError

_SCALE = 1024.0  # keeps gradients above the smallest number of half precision; a power of two changes no digit


def measure(
    losses: Sequence[Float[Tensor, ""]], captured: Captured, sites: Sequence[str], shares: Float[Tensor, " L"]
) -> TapNorms:
    """Gradient norms at the student's taps, by partial backward passes; the graph stays for the real one.

    A term on a site that needs no gradient is NaN, with a warning: no weight can make it pull on the student. So is a
    term that did not read its site this time, as where links are drawn.

    Args:
        losses: feature terms first, one for each site, then output terms; each by itself, as a stack of them would
            give a gradient of zero where there is none.
        captured: what the student gave.
        sites: the student's site of each feature term.
        shares: weight of each loss within its group.

    Raises:
        ModelError: if the student is compiled, which leaves nowhere to measure.
        SiteError: if the outputs do not depend on a site.

    Example:
        >>> fc = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> losses = [fc.square().sum() / 2, -fc.square().sum()]
        >>> captured = Captured(None, {}, {"fc": fc}, {"fc": torch.autograd.graph.get_gradient_edge(fc)})
        >>> norms = measure(losses, captured, ["fc"], torch.ones(2))
        >>> norms.feature[0].item(), norms.output[0].item(), norms.cosine[0].item()
        (5.0, 10.0, -1.0)
    """
    count = len(sites)
    feature, output, cosine = (torch.full((len(losses),), torch.nan, device=shares.device) for _ in range(3))
    if count in {0, len(losses)}:
        return TapNorms(feature, output, cosine)
    taps = _measurable(captured, sites)
    outputs = torch.stack([loss * share for loss, share in zip(losses[count:], shares[count:], strict=True)]).sum()
    pulls = dict(zip(taps, _gradients(outputs, list(taps.values())), strict=True))
    for index, site in enumerate(sites):
        if site not in taps:
            continue
        pull = pulls[site]
        if pull is None:
            raise SiteError(
                "Gradients are balanced at sites that the outputs depend on. Found no way back from the output losses "
                f"to the student's '{site}'. Link another site, or use balancer: {{kind: Fixed}}."
            )
        (own,) = _gradients(losses[index], [taps[site]])
        if own is None:
            continue
        own, pull = _flat(own), _flat(pull)
        feature[index], output[index] = own.norm(), pull.norm()
        cosine[index] = torch.dot(own, pull) / (feature[index] * output[index]).clamp_min(1e-30)
    return TapNorms(feature, output, cosine)


def gradient_shares(
    norms: TapNorms, weights: Float[Tensor, " L"], shares: Float[Tensor, " L"], outputs: Float[Tensor, " L"]
) -> Float[Tensor, " L"]:
    """Each feature term's part of what pulls at its tap, the length of its gradient beside that of the outputs.

    NaN for output terms and for what was not measured.

    Args:
        norms: the last that were measured.
        weights: of each loss.
        shares: of each loss within its group, as it was measured with.
        outputs: 1 for each output loss, 0 for the others. The mean of their weights counts.

    Example:
        >>> feature, output = torch.tensor([0.5, torch.nan]), torch.tensor([2.0, torch.nan])
        >>> norms, outputs = TapNorms(feature, output, torch.zeros(2)), torch.tensor([0.0, 1.0])
        >>> round(gradient_shares(norms, torch.tensor([4.0, 1.5]), torch.ones(2), outputs)[0].item(), 3)
        0.4
    """
    feature, output = norms.feature * weights, norms.output * (weights * outputs).sum() / (shares * outputs).sum()
    return feature / (feature + output)


def _measurable(captured: Captured, sites: Sequence[str]) -> dict[str, GradientEdge]:
    """The tap of each site that needs gradients."""
    frozen = [site for site in dict.fromkeys(sites) if not captured.raw[site].requires_grad]
    if frozen:
        warnings.warn(
            f"The student's sites {frozen} need no gradient, as all layers before them are frozen: feature terms there "
            "train their projectors only, and their weights are not measured.",
            stacklevel=2,
        )
    hidden = [site for site in sites if site not in captured.taps and site not in frozen]
    if hidden:
        raise ModelError(
            f"Gradients are balanced at single layers of the student. Found none at '{hidden[0]}', as the student is "
            "compiled. Give the student as it was before torch.compile, or use balancer: {kind: Fixed}."
        )
    return {site: captured.taps[site] for site in dict.fromkeys(sites) if site not in frozen}


def _gradients(loss: Float[Tensor, ""], taps: list[GradientEdge]) -> Sequence[Tensor | None]:
    if not taps or not loss.requires_grad:
        return [None] * len(taps)
    scale = torch.full_like(loss, _SCALE)
    return torch.autograd.grad(loss, taps, scale, retain_graph=True, allow_unused=True)


def _flat(gradient: Tensor) -> Float[Tensor, " M"]:
    return gradient.detach().float().flatten() / _SCALE


def over_processes(losses: Float[Tensor, " L"], norms: TapNorms | None) -> tuple[Float[Tensor, " L"], TapNorms | None]:
    """The mean of what every process measured, so that all of them weigh alike; unchanged in a single process."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return losses, norms
    together = torch.stack([losses, *(norms or ())]).contiguous()
    dist.all_reduce(together)
    losses, *measured = together / dist.get_world_size()
    return losses, None if norms is None else TapNorms(*measured)
