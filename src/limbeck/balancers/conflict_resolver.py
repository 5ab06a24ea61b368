"""Weights by which features and outputs do not work against each other, from a method of Jacobian descent."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import FEATURE, OUTPUT, Balancer, TapNorms
from limbeck.errors import LimbeckError, RecipeError, nearest

_METHODS = ("DualProj", "IMTLG", "MGDA", "UPGrad")
_PROJECTING = ("DualProj", "UPGrad")


class ConflictResolver(Balancer):
    r"""At every tap, weigh the feature term against the outputs by a method that resolves conflicts of gradients.

    From "Jacobian Descent for Multi-Objective Optimization" (Quinton & Rey 2024), https://arxiv.org/abs/2406.16232,
    whose library TorchJD, which ``pip install 'limbeck[conflict]'`` brings, computes the weights $(a_k, b_k)$ of the
    two gradients from their inner products:

    $$ (a_k, b_k) = \omega \begin{pmatrix} n_k^2 & n_k n_o \cos\varphi_k \\ n_k n_o \cos\varphi_k & n_o^2 \end{pmatrix},
       \qquad w_k = \frac{a_k}{\sum_j s_j}, \qquad w_o = \frac{\sum_k s_k b_k}{\sum_j s_j} $$

    with $n_k$, $n_o$ the lengths and $\varphi_k$ the angle of the gradients of term $k$ and of all outputs at its tap,
    and the shares $s$: the mean over the taps of what two losses alone would get. The methods $\omega$:

    - ``UPGrad`` (Quinton & Rey 2024): the mean of both gradients, each without its part against the other. For two
      losses it is half of PCGrad (Yu et al. 2020), which is therefore not offered.
    - ``DualProj`` (Lopez-Paz & Ranzato 2017): the mean of both gradients, moved until it works against neither.
    - ``IMTLG`` (Liu et al. 2021): the direction that halves the angle, whatever the lengths. For two losses Nash-MTL
      (Navon et al. 2022), FairGrad with $\alpha = 1$ and MGDA of gradients of length 1 have the same direction and are
      not offered.
    - ``MGDA`` (Désidéri 2012): the shortest point between both gradients, which favours the shorter one.

    AlignedMTL can give a loss a negative weight and is not offered; CAGrad needs a solver of its own. Of these only
    ``IMTLG`` is blind to lengths: the others do nothing against a loss that pulls 30 times as hard as the other, for
    which there is :class:`~limbeck.balancers.TapNorm`.

    Differs from the papers: measured at the taps instead of over all parameters; acts from the next step on. Until a
    first measurement, and without features, $a_k = b_k = \frac12$. What the schedule says is multiplied afterwards.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: $s$; 1 for each if not given.
        method: $\omega$; default ``UPGrad``: paper.

    Raises:
        RecipeError: if the method is not known.
        LimbeckError: if TorchJD or its solver is not installed.

    Example:
        >>> balancer, nan = ConflictResolver(["feature", "output"]), float("nan")
        >>> balancer.step(torch.ones(2), TapNorms(*torch.tensor([[1.0, nan], [1.0, nan], [-0.5, nan]])))
        >>> [round(each, 2) for each in balancer(torch.ones(2)).weights.tolist()]   # (1 + 0.5) / 2
        [0.75, 0.75]
    """

    measure_every: ClassVar[int] = 1
    may_leave_out: ClassVar[bool] = True
    feature_weight: Tensor
    output_weight: Tensor

    def __init__(
        self, groups: Sequence[str], /, *, shares: Sequence[float] | None = None, method: str = "UPGrad"
    ) -> None:
        super().__init__(groups, shares=shares)
        if method not in _METHODS:
            raise RecipeError(f"ConflictResolver has no method '{method}'. {nearest(method, _METHODS)}")
        _weighting(method)
        self.method = method
        self.register_buffer("feature_weight", torch.full((len(self.groups),), 0.5))
        self.register_buffer("output_weight", torch.full((len(self.groups),), 0.5))

    def weigh(self, _losses: Float[Tensor, " L"], _strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """What was measured, whatever the losses are."""
        feature = self.select(FEATURE)
        share = feature * self.shares
        total = share.sum()
        part = torch.where(total > 0, 1 / total, 0.0)
        output = torch.where(total > 0, (share * self.output_weight).sum() * part, 0.5)
        return feature * self.feature_weight * part + self.select(OUTPUT) * output

    @torch.no_grad()
    def step(self, _losses: Float[Tensor, " L"], norms: TapNorms | None = None, /) -> None:
        """Take in a measurement; without one, or for a term whose own is zero or not finite, nothing moves."""
        if norms is None:
            return
        rows = torch.stack(list(norms), 1).cpu().double()
        for term, (own, output, cosine) in enumerate(rows):
            gramian = torch.stack([own.square(), own * output * cosine, own * output * cosine, output.square()])
            # The weights do not depend on the common length, but the solvers' tolerances do.
            gramian = gramian.view(2, 2) * 2 / (own.square() + output.square())
            if own > 0 and output > 0 and torch.isfinite(gramian).all():
                weights = _weighting(self.method)(gramian)
                self.feature_weight[term], self.output_weight[term] = weights.tolist()

    def reset(self) -> None:
        """Forget every measurement."""
        self.feature_weight.fill_(0.5)
        self.output_weight.fill_(0.5)

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        return f"{super().extra_repr()}, method={self.method!r}"


@cache
def _weighting(method: str) -> Callable[[Tensor], Tensor]:
    """TorchJD's map from the inner products of gradients to their weights."""
    try:
        weighting = getattr(importlib.import_module("torchjd.aggregation"), f"{method}Weighting")
        if method not in _PROJECTING:
            return weighting()
        # Its own 1e-4 would drown the shorter of two gradients already where the other is 25 times as long.
        return weighting(projector=importlib.import_module("torchjd.linalg").QuadprogProjector(reg_eps=1e-8))
    except ImportError as error:
        raise LimbeckError(
            f"ConflictResolver with method {method} needs TorchJD and its solver. Found: {error}. Run pip install "
            "'limbeck[conflict]'."
        ) from error
