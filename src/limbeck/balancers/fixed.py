"""Weights that stay as they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.balancers.family import Balancer
from limbeck.errors import RecipeError


class Fixed(Balancer):
    r"""Multiply every feature loss with one number and every output loss with another.

    The plain weighted sum, which "In Defense of the Unitary Scalarization for Deep Multi-Task Learning" (Kurin et al.,
    NeurIPS 2022), https://arxiv.org/abs/2201.04122, finds as good as more elaborate rules once it is tuned:

    $$ w_f \sum_{k \in \text{features}} s_k L_k + w_o \sum_{j \in \text{outputs}} s_j L_j $$

    with the shares $s$ of the losses in their group. The numbers mean something only for losses of a known scale, such
    as an MSE on standardised targets.

    Args:
        groups: ``feature`` or ``output`` for each loss.
        shares: $s$; 1 for each if not given.
        feature: $w_f$; default 0.8: our choice.
        output: $w_o$; default 0.2: our choice.

    Raises:
        RecipeError: if a weight is negative or not finite, or a group or the shares do not fit.

    Example:
        >>> import torch
        >>> balanced = Fixed(["feature", "output"])(torch.tensor([1.0, 10.0]))
        >>> round(balanced.total.item(), 4), [round(each, 4) for each in balanced.weights.tolist()]
        (2.8, [0.8, 0.2])
    """

    reads_losses: ClassVar[bool] = False

    def __init__(
        self,
        groups: Sequence[str],
        /,
        *,
        shares: Sequence[float] | None = None,
        feature: float = 0.8,
        output: float = 0.2,
    ) -> None:
        super().__init__(groups, shares=shares)
        if not (0 <= feature < float("inf") and 0 <= output < float("inf")):
            raise RecipeError(f"Fixed needs weights of at least 0. Found feature={feature}, output={output}.")
        self.feature = feature
        self.output = output

    def weigh(self, _losses: Float[Tensor, " L"], _strength: Float[Tensor, " L"], /) -> Float[Tensor, " L"]:
        """The two numbers, whatever the losses are."""
        return torch.where(self.features, self.feature, self.output)

    def extra_repr(self) -> str:
        """Groups, shares and options."""
        return f"{super().extra_repr()}, feature={self.feature}, output={self.output}"
