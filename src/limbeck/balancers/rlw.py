"""Weights drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import Balancer


class RLW(Balancer):
    r"""Draw new weights at every step: random loss weighting, the test that every cleverer rule should pass.

    From "Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task Learning" (Lin et al., TMLR 2022),
    https://arxiv.org/abs/2111.10603:

    $$ w = \operatorname{softmax}(\xi), \qquad \xi \sim \mathcal N(0, I) $$

    anew after each optimizer step. A draw follows from the seed and the number of steps, so that all processes draw the
    same, and a run that is resumed goes on as if it had not stopped.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: what part of its group each loss is; 1 for each if not given.
        seed: of the draws; default 0: our choice.

    Raises:
        RecipeError: if a group or the shares do not fit.

    Example:
        >>> balancer = RLW(["feature", "output"])
        >>> first = balancer(torch.ones(2)).weights
        >>> balancer.step(torch.ones(2))
        >>> round(first.sum().item(), 4), torch.equal(first, balancer(torch.ones(2)).weights)
        (1.0, False)
    """

    reads_losses: ClassVar[bool] = False

    def __init__(self, groups: Sequence[str], /, *, shares: Sequence[float] | None = None, seed: int = 0) -> None:
        super().__init__(groups, shares=shares)
        self.seed = seed
        self._steps = 0

    def weigh(self, _losses: Float[Tensor, " L"], _strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """The draw of this step."""
        # Neighbouring seeds of a generator are related until it has run a little; a large stride keeps draws apart.
        generator = torch.Generator("cpu").manual_seed(self.seed + 1_000_003 * self._steps)
        drawn = torch.randn(len(self.groups), generator=generator, device="cpu", dtype=torch.float32)
        return torch.softmax(drawn, 0).to(self.shares.device)

    def step(self, _losses: Float[Tensor, " L"], _norms: object = None, /) -> None:
        """On to the next draw."""
        self._steps += 1

    def reset(self) -> None:
        """Back to the first draw."""
        self._steps = 0

    def get_extra_state(self) -> Tensor:
        """Steps done, so that the draws go on where they were."""
        return torch.tensor(self._steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the steps done."""
        self._steps = int(state)

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        return f"{super().extra_repr()}, seed={self.seed}"
