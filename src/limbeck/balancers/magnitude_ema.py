"""Weights by which every loss is worth the same, whatever its unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck._math.inverse import inverse
from limbeck.balancers.family import FEATURE, OUTPUT, Balancer
from limbeck.errors import RecipeError

_EPS = 1e-8


class MagnitudeEMA(Balancer):
    r"""Divide every loss by its own moving average, so that given weights mean the same for losses of any unit.

    Our choice; it shares the fixed point $w_i \propto 1 / L_i$ with :class:`~limbeck.balancers.Uncertainty`:

    $$ w_i = \frac{p_i}{\mathrm{EMA}_\beta[L_i] + \epsilon}, \qquad p_i = p_f \text{ or } p_o $$

    the average corrected for its start at zero, $\epsilon = 10^{-8}$. At the first step each loss is divided by itself.
    While the average moves, a loss that falls gains weight, as under the logarithm
    (:class:`~limbeck.balancers.LogSum`); ``freeze_after`` ends that, and the objective stays the same from then on.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: what part of its group each loss is; 1 for each if not given.
        feature: $p_f$; default 1: our choice (equal magnitude).
        output: $p_o$; default 1: our choice.
        beta: memory of the average, in steps; default 0.99: our choice.
        freeze_after: number of steps after which the average stands still; ``None`` for never: our choice.

    Raises:
        RecipeError: if a weight is negative or not finite, ``beta`` not in [0, 1), or ``freeze_after`` below 1.

    Example:
        >>> balancer = MagnitudeEMA(["feature", "output"], feature=0.8, output=0.2)
        >>> balancer.step(torch.tensor([100.0, 2.0]))
        >>> [round(each, 4) for each in balancer(torch.tensor([50.0, 2.0])).weights.tolist()]
        [0.008, 0.1]
    """

    needs_non_negative: ClassVar[bool] = True
    magnitude: Tensor
    count: Tensor

    def __init__(
        self,
        groups: Sequence[str],
        /,
        *,
        shares: Sequence[float] | None = None,
        feature: float = 1.0,
        output: float = 1.0,
        beta: float = 0.99,
        freeze_after: int | None = None,
    ) -> None:
        super().__init__(groups, shares=shares)
        if not (0 <= feature < float("inf") and 0 <= output < float("inf")) or not 0 <= beta < 1:
            raise RecipeError(
                f"MagnitudeEMA needs weights of at least 0 and beta from 0 to below 1. Found feature={feature}, "
                f"output={output}, beta={beta}."
            )
        if freeze_after is not None and freeze_after < 1:
            raise RecipeError(f"MagnitudeEMA needs at least 1 step before it freezes. Found {freeze_after}.")
        self.feature = feature
        self.output = output
        self.beta = beta
        self.freeze_after = freeze_after
        self.register_buffer("magnitude", torch.zeros(len(self.groups)))
        self.register_buffer("count", torch.zeros(len(self.groups), dtype=torch.long))

    def weigh(self, losses: Float[Tensor, " L"], _strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """The given weights over the averages."""
        # An average that starts at zero is too small by exactly this factor.
        average = self.magnitude / (1 - self.beta ** self.count.clamp_min(1))
        magnitude = torch.where(self.count > 0, average, losses.to(average))
        given = self.select(FEATURE) * self.feature + self.select(OUTPUT) * self.output
        return given * inverse(magnitude, eps=_EPS)

    @torch.no_grad()
    def step(self, losses: Float[Tensor, " L"], _norms: object = None, /) -> None:
        """Take the losses into their averages; one that is not finite is left out."""
        known = torch.isfinite(losses)
        if self.freeze_after is not None:
            known &= self.count < self.freeze_after
        moved = self.beta * self.magnitude + (1 - self.beta) * losses.to(self.magnitude)
        self.magnitude.copy_(torch.where(known, moved, self.magnitude))
        self.count += known

    def reset(self) -> None:
        """Forget every loss."""
        self.magnitude.zero_()
        self.count.zero_()

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        return (
            f"{super().extra_repr()}, feature={self.feature}, output={self.output}, beta={self.beta}, "
            f"freeze_after={self.freeze_after}"
        )
