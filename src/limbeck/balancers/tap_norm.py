"""Weights by which features and outputs pull equally hard where the feature is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import FEATURE, OUTPUT, Balancer, TapNorms
from limbeck.errors import RecipeError

_REMEMBERED = 101
_WIDEST = math.log(100.0)
_EPS = 1e-6


class TapNorm(Balancer):
    r"""Let every feature term pull at its tap as hard as the outputs do there, and yield where they disagree.

    The gradient-norm ratio of "Taming Transformers for High-Resolution Image Synthesis" (Esser et al., CVPR 2021),
    https://arxiv.org/abs/2012.09841, eq. 7, measured at the tap of each feature term and smoothed:

    $$ w_k = \frac{\rho \, s_k}{\sum_j s_j} \, r_k, \qquad
       \log r_k = \mathrm{EMA}_\beta \Bigl[ \log \frac{n_o}{n_k + 10^{-6} n_o} \Bigr] $$

    with $n_k = \lVert g_k \rVert$ the length of the term's own gradient at the student's tap, $n_o = \lVert g_o \rVert$
    that of all output losses together, and the shares $s$ (all 1: $s_k / \sum_j s_j = 1 / K$). For two losses this is
    the direction that IMTL-G, Nash-MTL and MGDA of normalised gradients share. $r_k$ is kept within a factor 100 of the
    median of its last 101 measurements.

    **Conflict.** Where the two disagree ($\cos\varphi_k < 0$) the feature yields: its gradient $g_k$ should be replaced
    by its part that does not work against the outputs,

    $$ g_k - \frac{g_k^\top g_o}{n_o^2} \, g_o = g_k - \frac{n_k \cos\varphi_k}{n_o} \, g_o . $$

    Multiplied with $w_k$ and with $r_k n_k \approx n_o$, the second part is $\frac{\rho s_k}{\sum s}
    (-\cos\varphi_k) \, g_o$: a multiple of the outputs' own gradient. So no gradient needs to be changed; it is enough
    to weigh the output losses with

    $$ w_o = 1 + \sum_k \sigma_k \frac{\rho \, s_k}{\sum_j s_j} \max(0, -\mathrm{EMA}_\beta[\cos\varphi_k]) $$

    where $\sigma_k$ is the strength that the schedule gives the term. Every term has its own tap, so that this is exact
    at the tap where it is measured and an estimate elsewhere.

    State (buffers) moves in :meth:`step` only, and only on measurements that are finite and not zero. Before the first
    one $r_k = 1$ and $\cos\varphi_k = 0$: the terms share $\rho$, the outputs have weight 1. It stays so without
    outputs, which leave nothing to compare with, and for a term on frozen layers, which pulls on its projector only;
    the distiller says so. It refuses a site that the outputs do not depend on, and a compiled student.

    Differs from the paper: at every tap instead of the last layer's weights, measured every 10 steps from the first on
    instead of at each (a measurement costs a partial backward pass for each term), an EMA in log space, a relative
    instead of an absolute $\epsilon$, and the guard, which is one-sided: the outputs never yield.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: $s$; 1 for each if not given.
        rho: how hard all feature terms together pull, compared with the outputs; default 1: our choice (equal force;
            4 is what 0.8 to 0.2 says).
        beta: memory of the EMA, in measurements; default 0.99: our choice.

    Raises:
        RecipeError: if ``rho`` is negative, or ``beta`` not in [0, 1).

    Example:
        >>> import torch
        >>> balancer = TapNorm(["feature", "output"])
        >>> losses, nan = torch.tensor([1.0, 1.0]), float("nan")
        >>> feature, output, cosine = torch.tensor([0.5, nan]), torch.tensor([2.0, nan]), torch.tensor([-0.5, nan])
        >>> balancer.step(losses, TapNorms(feature, output, cosine))
        >>> [round(each, 3) for each in balancer(losses).weights.tolist()]
        [4.0, 1.5]
    """

    measure_every: ClassVar[int] = 10
    reads_losses: ClassVar[bool] = False
    log_ratio: Tensor
    cosine: Tensor
    count: Tensor
    recent: Tensor

    def __init__(
        self,
        groups: Sequence[str],
        /,
        *,
        shares: Sequence[float] | None = None,
        rho: float = 1.0,
        beta: float = 0.99,
    ) -> None:
        super().__init__(groups, shares=shares)
        if not 0 <= rho < math.inf or not 0 <= beta < 1:
            raise RecipeError(
                f"TapNorm needs rho of at least 0 and beta from 0 to below 1. Found rho={rho}, beta={beta}."
            )
        self.rho = rho
        self.beta = beta
        terms = len(self.groups)
        self.register_buffer("log_ratio", torch.zeros(terms))
        self.register_buffer("cosine", torch.zeros(terms))
        self.register_buffer("count", torch.zeros(terms, dtype=torch.long))
        self.register_buffer("recent", torch.full((_REMEMBERED, terms), torch.nan))

    def weigh(self, _losses: Float[Tensor, " L"], strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """What was measured, whatever the losses are."""
        feature = self.select(FEATURE)
        part = self.rho / (feature * self.shares).sum().clamp_min(torch.finfo(self.shares.dtype).tiny)
        conflict = (-self._smoothed(self.cosine)).clamp_min(0.0)
        yielded = (feature * self.shares * strength.to(self.shares) * part * conflict).sum()
        return feature * part * self._ratio() + self.select(OUTPUT) * (1 + yielded)

    @torch.no_grad()
    def step(self, _losses: Float[Tensor, " L"], norms: TapNorms | None = None, /) -> None:
        """Take in a measurement; without one, or for a term whose own is zero or not finite, nothing moves."""
        if norms is None:
            return
        own, output, cosine = (each.to(self.log_ratio) for each in norms)
        log_ratio = (output / (own + _EPS * output)).log()
        known = (own > 0) & (output > 0) & torch.isfinite(log_ratio) & torch.isfinite(cosine)
        known &= self.select(FEATURE).bool()
        place = (self.count % _REMEMBERED).unsqueeze(0)
        kept = self.recent.gather(0, place)
        self.recent.scatter_(0, place, torch.where(known, log_ratio, kept))
        for state, measured in ((self.log_ratio, log_ratio), (self.cosine, cosine)):
            state.copy_(torch.where(known, self.beta * state + (1 - self.beta) * measured, state))
        self.count += known

    def reset(self) -> None:
        """Forget every measurement."""
        self.log_ratio.zero_()
        self.cosine.zero_()
        self.count.zero_()
        self.recent.fill_(torch.nan)

    def _smoothed(self, state: Float[Tensor, " L"]) -> Float[Tensor, " L"]:
        # An EMA that starts at zero is too small by exactly this factor.
        measured = self.count > 0
        return torch.where(measured, state / (1 - self.beta ** self.count.clamp_min(1)), 0.0)

    def _ratio(self) -> Float[Tensor, " L"]:
        median = self.recent.nanmedian(0).values.nan_to_num(0.0)
        smoothed = self._smoothed(self.log_ratio)
        return torch.maximum(torch.minimum(smoothed, median + _WIDEST), median - _WIDEST).exp()

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        return f"{super().extra_repr()}, rho={self.rho}, beta={self.beta}"
