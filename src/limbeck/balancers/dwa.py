"""Weights by how fast each loss falls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import Balancer
from limbeck.errors import RecipeError

_FASTEST_RISE = 10.0


class DWA(Balancer):
    r"""Give more weight to the losses that fall more slowly than the others: dynamic weight average.

    From "End-to-End Multi-Task Learning with Attention" (Liu et al., CVPR 2019), https://arxiv.org/abs/1803.10704:

    $$ w_i = n \, \frac{e^{r_i / T}}{\sum_j e^{r_j / T}}, \qquad r_i = \frac{\bar L_i(t - 1)}{\bar L_i(t - 2)} $$

    with $\bar L(t)$ the mean loss over the $t$-th stretch of training and $n$ the number of losses. It looks at ratios
    only, so that it does not see how large a loss is: balance losses of different units by their shares.

    Differs from the paper: a stretch is a number of steps instead of an epoch, which a balancer does not know; a loss
    that rises more than tenfold counts as tenfold. In the first two stretches all weights are 1, as there.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: what part of its group each loss is; 1 for each if not given.
        temperature: $T$; default 2: paper.
        every: steps in a stretch; default 100: our choice.

    Raises:
        RecipeError: if the temperature is not above 0 or a stretch has no steps.

    Example:
        >>> balancer = DWA(["feature", "output"], every=1)
        >>> for losses in ([4.0, 1.0], [1.0, 1.0]):
        ...     balancer.step(torch.tensor(losses))
        >>> [round(each, 3) for each in balancer(torch.ones(2)).weights.tolist()]   # a quarter, and as much as before
        [0.815, 1.185]
    """

    needs_non_negative: ClassVar[bool] = True
    total: Tensor
    seen: Tensor
    steps: Tensor
    last: Tensor
    before: Tensor

    def __init__(
        self,
        groups: Sequence[str],
        /,
        *,
        shares: Sequence[float] | None = None,
        temperature: float = 2.0,
        every: int = 100,
    ) -> None:
        super().__init__(groups, shares=shares)
        if not 0 < temperature < float("inf") or every < 1:
            raise RecipeError(
                f"DWA needs a temperature above 0 and stretches of at least 1 step. Found temperature={temperature}, "
                f"every={every}."
            )
        self.temperature = temperature
        self.every = every
        for name in ("total", "seen", "last", "before"):
            self.register_buffer(name, torch.zeros(len(self.groups)))
        self.register_buffer("steps", torch.tensor(0))

    def weigh(self, _losses: Float[Tensor, " L"], _strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """By the last two stretches, whatever the losses are now."""
        ratio = self.last / self.before
        # Nothing is known of a loss until two stretches are over, nor of one that was zero.
        ratio = torch.where(torch.isfinite(ratio), ratio.clamp_max(_FASTEST_RISE), 1.0)
        return len(self.groups) * torch.softmax(ratio / self.temperature, 0)

    @torch.no_grad()
    def step(self, losses: Float[Tensor, " L"], _norms: object = None, /) -> None:
        """Add to the running stretch, and close it when it is full; a loss that is not finite is left out."""
        known = torch.isfinite(losses)
        self.total += torch.where(known, losses.to(self.total), 0.0)
        self.seen += known
        self.steps += 1
        over = self.steps % self.every == 0
        self.before.copy_(torch.where(over, self.last, self.before))
        self.last.copy_(torch.where(over, self.total / self.seen.clamp_min(1), self.last))
        for running in (self.total, self.seen):
            running.mul_(~over)

    def reset(self) -> None:
        """Forget every loss."""
        for state in (self.total, self.seen, self.steps, self.last, self.before):
            state.zero_()

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        return f"{super().extra_repr()}, temperature={self.temperature}, every={self.every}"
