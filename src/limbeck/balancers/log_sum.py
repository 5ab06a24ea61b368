"""Weights that turn the sum of losses into the sum of their logarithms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from limbeck._math.inverse import inverse
from limbeck.balancers.family import Balancer
from limbeck.errors import RecipeError


class LogSum(Balancer):
    r"""Minimise the sum of the losses' logarithms: every loss falls by the same share, whatever its unit.

    The geometric loss strategy of "MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for
    Multi-Task Learning" (Chennupati et al., CVPR Workshops 2019), https://arxiv.org/abs/1904.08492, in logarithms:

    $$ \sum_i s_i \log (L_i + \epsilon), \qquad \text{that is} \qquad w_i = \frac{1}{L_i + \epsilon} $$

    with the shares $s$. The gradient of the geometric mean $(\prod_i L_i)^{1/n}$ has the same direction. $1 / L_i$ is
    also what :class:`~limbeck.balancers.Uncertainty` and IMTL-L (Liu et al., ICLR 2021) come to rest at, and what
    :class:`~limbeck.balancers.MagnitudeEMA` averages over time; IMTL-L is therefore no class of its own here.

    The weights are numbers and not part of the graph, so that the reported total is the sum of the shares at every
    step; the single losses show what is learnt.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: $s$; 1 for each if not given.
        eps: $\epsilon$; default: LibMTL's code.

    Raises:
        RecipeError: if ``eps`` is not above 0, or a group or the shares do not fit.

    Example:
        >>> import torch
        >>> LogSum(["feature", "output"])(torch.tensor([4.0, 0.5])).weights
        tensor([0.2500, 2.0000])
    """

    needs_non_negative: ClassVar[bool] = True

    def __init__(self, groups: Sequence[str], /, *, shares: Sequence[float] | None = None, eps: float = 1e-8) -> None:
        super().__init__(groups, shares=shares)
        if not 0 < eps < float("inf"):
            raise RecipeError(f"LogSum needs eps above 0. Found eps={eps}.")
        self.eps = eps

    def weigh(self, losses: Float[Tensor, " L"], _strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """One over each loss."""
        return inverse(losses, eps=self.eps)

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        return f"{super().extra_repr()}, eps={self.eps}"
