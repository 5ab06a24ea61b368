"""Weights by which features and outputs do not work against each other, from a method of Jacobian descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import FEATURE, OUTPUT, Balancer, TapNorms
from limbeck.balancers.jacobian_descent import Weighting, weighting


class ConflictResolver(Balancer):
    r"""At every tap, weigh the feature term against the outputs by a method that resolves conflicts of gradients.

    From "Jacobian Descent for Multi-Objective Optimization" (Quinton & Rey 2024), https://arxiv.org/abs/2406.16232,
    whose library TorchJD, which ``pip install 'limbeck[conflict]'`` brings, computes the weights $(a_k, b_k)$ of the
    two gradients from their inner products:

    $$ (a_k, b_k) = \omega \begin{pmatrix} n_k^2 & n_k n_o \cos\varphi_k \\ n_k n_o \cos\varphi_k & n_o^2 \end{pmatrix},
       \qquad w_k = \frac{a_k}{\sum_j s_j}, \qquad w_o = \frac{\sum_k s_k b_k}{\sum_j s_j} $$

    with $n_k$, $n_o$ the lengths and $\varphi_k$ the angle of the gradients of term $k$ and of all outputs at its tap,
    and the shares $s$: the mean over the taps of what two losses alone would get. $\omega$ is any of TorchJD's methods
    whose weights follow from the inner products:

    - ``UPGrad`` (Quinton & Rey 2024): the mean of both gradients, each without its part against the other. For two
      losses it is half of PCGrad (Yu et al. 2020), which is therefore not offered.
    - ``DualProj`` (Lopez-Paz & Ranzato 2017): the mean of both gradients, moved until it works against neither.
    - ``IMTLG`` (Liu et al. 2021): the direction that halves the angle, whatever the lengths. For two losses Nash-MTL
      (Navon et al. 2022), ConFIG (Liu et al. 2024) and MGDA of gradients of length 1 have the same direction and are
      not offered.
    - ``FairGrad`` (Ban & Ji 2024): the weights at which each loss falls by its own weight to the power of
      $-1/\alpha$; ``alpha`` is 2 if not given. With 1 its direction is that of ``IMTLG``.
    - ``MGDA`` (Désidéri 2012): the shortest point between both gradients, which favours the shorter one.
    - ``CAGrad`` (Liu et al. 2021): near the mean of both, within ``c`` of its length (0.5 if not given), where the loss
      that falls less falls most. Its solver comes with ``pip install 'torchjd[cagrad]'``.
    - ``AlignedMTL`` (Senushkin et al. 2023): both gradients turned until they are orthogonal and of one length.

    GradVac and PCD remember earlier steps in a way that a checkpoint does not bring back; other methods of TorchJD need
    the gradients themselves, or look at no conflict: asking for one says which. ``UPGrad``, ``DualProj`` and ``CAGrad``
    do nothing against a loss that pulls 30 times as hard as the other, for which there is
    :class:`~limbeck.balancers.TapNorm`.

    Differs from the papers: measured at the taps instead of over all parameters, every 10 steps instead of at each (a
    measurement costs a partial backward pass for each term); acts from the next step on. A negative weight, which
    ``AlignedMTL`` gives to the longer of two gradients that agree, counts as 0: what only that loss trains, such as its
    projector, would be trained against it. Until a first measurement, and without features, $a_k = b_k = \frac12$. What
    the schedule says is multiplied afterwards.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: $s$; 1 for each if not given.
        method: $\omega$; default ``UPGrad``: paper.
        settings: the method's own, such as ``{"c": 0.4}``; default: TorchJD's, and where it has none, 0.5 as in LibMTL
            for ``c`` and 2 for ``alpha``, our choice.

    Raises:
        RecipeError: if the method or a setting is not known, or the method cannot be used; says why.
        LimbeckError: if TorchJD or its solver is not installed.

    Example:
        >>> balancer, nan = ConflictResolver(["feature", "output"]), float("nan")
        >>> balancer.step(torch.ones(2), TapNorms(*torch.tensor([[1.0, nan], [1.0, nan], [-0.5, nan]])))
        >>> [round(each, 2) for each in balancer(torch.ones(2)).weights.tolist()]   # (1 + 0.5) / 2
        [0.75, 0.75]
    """

    measure_every: ClassVar[int] = 10
    may_leave_out: ClassVar[bool] = True
    feature_weight: Tensor
    output_weight: Tensor

    def __init__(
        self,
        groups: Sequence[str],
        /,
        *,
        shares: Sequence[float] | None = None,
        method: str = "UPGrad",
        settings: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(groups, shares=shares)
        self.method, self.settings = method, dict(settings or {})
        _ = self._weighting  # what cannot be used fails here
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
                weights = self._weighting(gramian).clamp_min(0.0)
                self.feature_weight[term], self.output_weight[term] = weights.tolist()

    @property
    def _weighting(self) -> Weighting:
        return weighting(self.method, frozenset(self.settings.items()))

    def reset(self) -> None:
        """Forget every measurement."""
        self.feature_weight.fill_(0.5)
        self.output_weight.fill_(0.5)

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        settings = f", settings={self.settings}" if self.settings else ""
        return f"{super().extra_repr()}, method={self.method!r}{settings}"
