"""The logarithm of how badly channels correlate."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.moments import channel_correlation
from limbeck.losses.standardised_log import StandardisedLog


class LogCorrelation(StandardisedLog):
    r"""Have channels that correlate with the teacher's, the worst of them first.

    From the official code of "Understanding the Role of the Projector in Knowledge Distillation" (Miles & Mikolajczyk,
    AAAI 2024), https://arxiv.org/abs/2303.11098, for transformers (:class:`LogSum` is the paper's formula):

    $$ \log \Bigl( \sum_c |\rho_c - 1|^\alpha + \epsilon \Bigr), \qquad
       \rho_c = \frac{1}{|V|} \sum_{(b, n) \in V} \hat s_{bnc} \hat t_{bnc} $$

    with $\hat s$, $\hat t$ standardised per channel over the positions $V$ of the batch that are valid on both sides.
    The paper compares what the head reads, behind a linear projector. Negative when good, so no balancer that takes
    logarithms or ratios can weigh it.

    Differs from the code: 1e-5 is added to variances, which are 0 for a dead channel.

    Shapes: student ``[B, N, C]``, teacher ``[B, N, C]``.

    Args:
        power: $\alpha$; default 4: official code.
        eps: $\epsilon$; default: official code.

    Raises:
        ShapeMismatch: if channels or positions differ, or the batch holds one sample.
        RecipeError: if ``power`` is below 1.

    Example:
        >>> import torch
        >>> from limbeck.features import Feature
        >>> teacher = Feature(torch.tensor([[[1.0]], [[-1.0]]]))
        >>> LogCorrelation()(Feature(-teacher.x), teacher)   # log of 2 to the 4th
        tensor(2.7726)
    """

    def errors(
        self, student: Float[Tensor, "B N C"], teacher: Float[Tensor, "B N C"], valid: Bool[Tensor, "B N"] | None, /
    ) -> Tensor:
        """How far every channel's correlation is from 1."""
        return channel_correlation(student, teacher, valid).diagonal() - 1
