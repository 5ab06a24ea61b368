"""Weights by which losses pull the harder the slower they fall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import FEATURE, OUTPUT, Balancer, TapNorms
from limbeck.errors import RecipeError

_WIDEST = 14.0


class GradNorm(Balancer):
    r"""Equalise how hard the losses pull, with more force for those that have fallen less.

    From "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks" (Chen et al., ICML
    2018), https://arxiv.org/abs/1711.02257. The outputs together are one task, each feature term another; of $n$ tasks,

    $$ G_i = w_i \lVert g_i \rVert, \qquad
       G_i^\star = \bar G \, \Bigl( \frac{L_i / L_i(0)}{\overline{L / L(0)}} \Bigr)^{\alpha}, \qquad
       \log w_i \leftarrow \log w_i + \eta \, (\log G_i^\star - \log G_i), \qquad \sum_i w_i = n $$

    with bars for means over tasks. It rests where the paper's $\sum_i \lvert G_i - G_i^\star \rvert$ is zero.

    Differs from the paper: gradients are measured at the tap of each feature term, in lengths of the outputs' gradient
    there ($\lVert g_o \rVert = 1$), instead of at the weight of one shared layer; the weights move towards the minimum
    in their logarithms, at most $\eta$ a step, instead of by the gradient of the absolute values, whose steps would
    depend on the losses' units. Shares act on top and are not equalised. Without outputs all weights stay 1.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: what part of its group each loss is; 1 for each if not given.
        alpha: $\alpha$, how much more a slow loss pulls; default 1.5: paper (NYUv2) and LibMTL.
        rate: $\eta$; default 0.1: our choice.

    Raises:
        RecipeError: if ``alpha`` is negative or ``rate`` not in (0, 1].

    Example:
        >>> balancer, nan = GradNorm(["feature", "output"], rate=1.0), float("nan")
        >>> norms = TapNorms(torch.tensor([2.0, nan]), torch.tensor([1.0, nan]), torch.tensor([0.0, nan]))
        >>> for _ in range(20):
        ...     balancer.step(torch.ones(2), norms)
        >>> [round(each, 3) for each in balancer(torch.ones(2)).weights.tolist()]   # twice as long, half the weight
        [0.667, 1.333]
    """

    measure_every: ClassVar[int] = 10
    needs_non_negative: ClassVar[bool] = True
    log_weight: Tensor
    first: Tensor

    def __init__(
        self,
        groups: Sequence[str],
        /,
        *,
        shares: Sequence[float] | None = None,
        alpha: float = 1.5,
        rate: float = 0.1,
    ) -> None:
        super().__init__(groups, shares=shares)
        if not 0 <= alpha < float("inf") or not 0 < rate <= 1:
            raise RecipeError(
                f"GradNorm needs alpha of at least 0 and a rate above 0 up to 1. Found alpha={alpha}, rate={rate}."
            )
        self.alpha = alpha
        self.rate = rate
        self.register_buffer("log_weight", torch.zeros(len(self.groups)))
        self.register_buffer("first", torch.zeros(len(self.groups)))

    def weigh(self, _losses: Float[Tensor, " L"], _strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """What was learnt, whatever the losses are."""
        tasks = self._tasks()
        weights = self.log_weight.exp()
        return weights * tasks.sum() / (weights * tasks).sum()

    @torch.no_grad()
    def step(self, losses: Float[Tensor, " L"], norms: TapNorms | None = None, /) -> None:
        """Remember the first losses; with a measurement, move every weight whose own gradient was measured."""
        losses = losses.to(self.first)
        self.first.copy_(torch.where((self.first == 0) & torch.isfinite(losses), losses, self.first))
        if norms is None:
            return
        feature = self.select(FEATURE).bool()
        length = norms.feature.to(self.first) / norms.output.to(self.first)
        measured = feature & torch.isfinite(length) & (length > 0)
        left = torch.where(feature, losses / self.first, self._left_of_outputs(losses))
        known = (measured | (~feature & measured.any())) & torch.isfinite(left)
        force = self.weigh(losses, losses) * torch.where(feature, length, 1.0)
        wanted = _mean(force, known * self._tasks()) * (left / _mean(left, known * self._tasks())) ** self.alpha
        move = (wanted.log() - force.log()).clamp(-1.0, 1.0)
        self.log_weight += torch.where(known & ~move.isnan(), self.rate * move, 0.0)
        self.log_weight.clamp_(-_WIDEST, _WIDEST)

    def reset(self) -> None:
        """Forget every loss and measurement."""
        self.log_weight.zero_()
        self.first.zero_()

    def _tasks(self) -> Float[Tensor, " L"]:
        """What part of a task each loss is: a feature term is one, all outputs together are one."""
        output = self.select(OUTPUT)
        return self.select(FEATURE) + output / output.sum().clamp_min(1.0)

    def _left_of_outputs(self, losses: Float[Tensor, " L"]) -> Float[Tensor, ""]:
        part = self.select(OUTPUT) * self.shares
        return (losses * part).sum() / (self.first * part).sum()

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        return f"{super().extra_repr()}, alpha={self.alpha}, rate={self.rate}"


def _mean(values: Float[Tensor, " L"], weight: Float[Tensor, " L"]) -> Float[Tensor, ""]:
    return torch.where(weight > 0, values * weight, 0.0).sum() / weight.sum()
