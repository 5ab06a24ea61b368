"""Weights that are learnt as the noise of each loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import Balancer
from limbeck.errors import RecipeError

_START = -0.5
_WIDEST = 6.0


class Uncertainty(Balancer):
    r"""Learn for every loss how noisy it is, and weigh it the less the noisier.

    From "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics" (Kendall et al., CVPR
    2018), https://arxiv.org/abs/1705.07115, in the form that LibMTL trains:

    $$ \min_s \; \sum_i \tfrac12 e^{-s_i} L_i + \tfrac12 s_i, \qquad w_i = \tfrac12 e^{-s_i}, \qquad
       s_i \leftarrow s_i - \eta \cdot \tfrac12 \bigl( 1 - e^{-s_i} L_i \bigr) $$

    with $s$ from $-0.5$, as in LibMTL. It comes to rest at $e^{s_i} = L_i$, that is $w_i = 1 / (2 L_i)$: half of what
    :class:`~limbeck.balancers.LogSum` says at once, and what IMTL-L comes to rest at.

    Differs from the paper: $s$ is moved by its own gradient and rate in :meth:`step` and not by the student's
    optimizer, whose weight decay and momentum would change the rule; a step of it is at most $\eta / 2$ long either
    way; $s$ stays in $[-6, 6]$, because a loss that goes to zero would otherwise get a weight without bound. The total
    leaves out $s_i / 2$, which the student cannot change, and so is never negative.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: what part of its group each loss is; 1 for each if not given.
        rate: $\eta$; default 0.02: our choice.

    Raises:
        RecipeError: if the rate is not above 0, or a group or the shares do not fit.

    Example:
        >>> balancer = Uncertainty(["feature", "output"])
        >>> for _ in range(2000):
        ...     balancer.step(torch.tensor([2.0, 0.25]))
        >>> [round(each, 3) for each in balancer(torch.tensor([2.0, 0.25])).weights.tolist()]
        [0.25, 2.0]
    """

    needs_non_negative: ClassVar[bool] = True
    log_variance: Tensor

    def __init__(self, groups: Sequence[str], /, *, shares: Sequence[float] | None = None, rate: float = 0.02) -> None:
        super().__init__(groups, shares=shares)
        if not 0 < rate < float("inf"):
            raise RecipeError(f"Uncertainty needs a rate above 0. Found rate={rate}.")
        self.rate = rate
        self.register_buffer("log_variance", torch.full((len(self.groups),), _START))

    def weigh(self, _losses: Float[Tensor, " L"], _strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """What was learnt, whatever the losses are."""
        return (-self.log_variance).exp() / 2

    @torch.no_grad()
    def step(self, losses: Float[Tensor, " L"], _norms: object = None, /) -> None:
        """One step down the gradient of each $s$; a loss that is not finite moves nothing."""
        gradient = (1 - (-self.log_variance).exp() * losses.to(self.log_variance)) / 2
        move = torch.where(torch.isfinite(losses), gradient.clamp(-0.5, 0.5), 0.0)
        self.log_variance.sub_(self.rate * move).clamp_(-_WIDEST, _WIDEST)

    def reset(self) -> None:
        """Back to the start."""
        self.log_variance.fill_(_START)

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        return f"{super().extra_repr()}, rate={self.rate}"
