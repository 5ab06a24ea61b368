"""Features that act only where they agree with the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import FEATURE, OUTPUT, Balancer, TapNorms
from limbeck.errors import RecipeError


class ConflictGate(Balancer):
    r"""Let a feature term act only as far as its gradient agrees with that of the outputs.

    From "Adapting Auxiliary Losses Using Gradient Similarity" (Du et al. 2018), https://arxiv.org/abs/1812.02224, with
    the outputs as main task and every feature term as an auxiliary one:

    $$ w_k = \begin{cases} \cos^{\gamma} \varphi_k & \cos\varphi_k \ge 0 \\ 0 & \cos\varphi_k < 0 \end{cases},
       \qquad w_o = 1 $$

    with $\varphi_k$ the angle between the two gradients at the tap of term $k$. $\gamma = 1$ is the paper's weighted
    form, $\gamma = 0$ its unweighted one, which lets a term act in full or not at all. It looks at directions only:
    losses of other units need shares that make them comparable.

    Differs from the paper: the angle is measured at the tap instead of over all parameters, every 10 steps instead of
    at each (a measurement costs a partial backward pass for each term), and acts from the next step on. Until a first
    measurement, and without outputs, all terms act in full.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: what part of its group each loss is; 1 for each if not given.
        power: $\gamma$; default 1: paper.
        beta: memory of a moving average of the cosine, in measurements; default 0, the last one only: paper.

    Raises:
        RecipeError: if ``power`` is negative or ``beta`` not in [0, 1).

    Example:
        >>> balancer, nan = ConflictGate(["feature", "feature", "output"]), float("nan")
        >>> balancer.step(torch.ones(3), TapNorms(torch.ones(3), torch.ones(3), torch.tensor([0.5, -0.5, nan])))
        >>> balancer(torch.ones(3)).weights
        tensor([0.5000, 0.0000, 1.0000])
    """

    measure_every: ClassVar[int] = 10
    may_leave_out: ClassVar[bool] = True
    cosine: Tensor

    def __init__(
        self,
        groups: Sequence[str],
        /,
        *,
        shares: Sequence[float] | None = None,
        power: float = 1.0,
        beta: float = 0.0,
    ) -> None:
        super().__init__(groups, shares=shares)
        if not 0 <= power < float("inf") or not 0 <= beta < 1:
            raise RecipeError(
                f"ConflictGate needs a power of at least 0 and beta from 0 to below 1. Found power={power}, "
                f"beta={beta}."
            )
        self.power = power
        self.beta = beta
        self.register_buffer("cosine", torch.ones(len(self.groups)))

    def weigh(self, _losses: Float[Tensor, " L"], _strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """What was measured, whatever the losses are."""
        agreeing = torch.where(self.cosine >= 0, self.cosine.clamp_min(0.0) ** self.power, 0.0)
        return self.select(FEATURE) * agreeing + self.select(OUTPUT)

    @torch.no_grad()
    def step(self, _losses: Float[Tensor, " L"], norms: TapNorms | None = None, /) -> None:
        """Take in a measurement; without one, or for a term whose own is not finite, nothing moves."""
        if norms is None:
            return
        moved = self.beta * self.cosine + (1 - self.beta) * norms.cosine.to(self.cosine)
        self.cosine.copy_(torch.where(torch.isfinite(norms.cosine), moved, self.cosine))

    def reset(self) -> None:
        """Forget every measurement."""
        self.cosine.fill_(1.0)

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        return f"{super().extra_repr()}, power={self.power}, beta={self.beta}"
