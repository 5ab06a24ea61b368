"""A target whose positions all have mean 0 and deviation 1 over the channels."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F

from limbeck.features import Feature
from limbeck.links import Link
from limbeck.targets.family import Target


class LayerNorm(Target):
    r"""Give every position of the teacher mean 0 and deviation 1 over its channels; nothing to fit.

    From "$V_kD$: Improving Knowledge Distillation using Orthogonal Projections" (Miles et al., CVPR 2024),
    https://arxiv.org/abs/2403.06213:

    $$ \frac{t_{bn} - \mu_{bn}}{\sqrt{\sigma_{bn}^2 + \epsilon}} $$

    without scale or shift of its own.

    Shapes: ``[B, N, C]`` to ``[B, N, C]``, in float32 at least.

    Args:
        eps: added to the variance; default: official code.

    Example:
        >>> import torch
        >>> LayerNorm()(Feature(torch.tensor([[[1.0, 3.0]]]))).x.round(decimals=3)
        tensor([[[-1.,  1.]]])
    """

    keeps_channels: ClassVar[bool] = False

    def __init__(self, *, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    @classmethod
    def for_link(cls, link: Link, /, *, eps: float = 1e-5) -> LayerNorm:  # noqa: ARG003 - part of the contract
        """Build one; it needs no sizes."""
        return cls(eps=eps)

    def forward(self, teacher: Feature, /) -> Feature:
        """Normalise each position."""
        x = teacher.full_precision().x
        return teacher.holding(F.layer_norm(x, x.shape[-1:], eps=self.eps))

    def extra_repr(self) -> str:
        """Options."""
        return f"eps={self.eps}"
