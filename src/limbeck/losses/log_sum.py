"""The logarithm of the summed distance."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck.losses.standardised_log import StandardisedLog


class LogSum(StandardisedLog):
    r"""Predict the teacher's standardised values, the worst errors first, whatever the size of all.

    From "Understanding the Role of the Projector in Knowledge Distillation" (Miles & Mikolajczyk, AAAI 2024),
    https://arxiv.org/abs/2303.11098:

    $$ \log \Bigl( \sum_{(b, n) \in V} \sum_c |\hat s_{bnc} - \hat t_{bnc}|^\alpha + \epsilon \Bigr) $$

    with $\hat s$, $\hat t$ standardised per channel over the positions $V$ of the batch that are valid on both sides.
    The paper compares what the head reads, behind a linear projector. Its gradient does not depend on the size of the
    error. Can be negative, so no balancer that takes logarithms or ratios can weigh it.

    Differs from the paper: $\epsilon$, without which two equal features give minus infinity.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        power: $\alpha$; default 4: paper.
        eps: $\epsilon$; default: our choice.

    Raises:
        ShapeMismatch: if channels or positions differ, or the batch holds one sample.
        RecipeError: if ``power`` is below 1.

    Example:
        >>> import torch
        >>> from limbeck.features import Feature
        >>> teacher = Feature(torch.tensor([[[1.0]], [[-1.0]]]))
        >>> LogSum()(Feature(-teacher.x), teacher)   # log of twice 2 to the 4th
        tensor(3.4657)
    """

    def errors(
        self, student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], _valid: Bool[Tensor, "B N"] | None, /
    ) -> Tensor:
        """How far apart all values are."""
        return student - teacher
