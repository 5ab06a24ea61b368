"""The one canonical form of everything that a network computes on its way: ``[B, N, C]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor


class Feature(NamedTuple):
    """What one site of a network computed for one batch, as ``B`` samples of ``N`` positions of ``C`` channels.

    Attributes:
        x: the values. A vector has ``N = 1``.
        grid: sizes of the grid that the positions behind the prefix form, row by row: ``(L,)``, ``(H, W)`` or
            ``(D, H, W)``; ``None`` for a vector.
        prefix: how many class, register or distillation tokens stand in front of the grid.
        mask: ``False`` marks padding.
        summary: the position that the network's head reads (0: class token, -1: last valid token); ``None`` if it
            reads the mean.

    Example:
        >>> feature = Feature(torch.arange(12.0).reshape(1, 4, 3), grid=(2, 2))
        >>> feature.pooled()
        tensor([[4.5000, 5.5000, 6.5000]])
    """

    x: Float[Tensor, "B N C"]
    grid: tuple[int, ...] | None = None
    prefix: int = 0
    mask: Bool[Tensor, "B N"] | None = None
    summary: int | None = None

    def pooled(self) -> Float[Tensor, "B C"]:
        """What the head reads: the summary token if it reads one, else the mean over the valid positions.

        The mean leaves the prefix tokens out.
        """
        if self.summary is not None:
            return self.x[:, self.summary] if self.mask is None or self.summary == 0 else self._last_valid()
        body = self.body()
        if body.mask is None:
            return body.x.mean(1)
        weight = body.mask.to(body.x.dtype)
        total = torch.einsum("bnc,bn->bc", body.x.masked_fill(~body.mask.unsqueeze(-1), 0.0), weight)
        return total / weight.sum(1, keepdim=True).clamp_min(1.0)

    def body(self) -> Feature:
        """The same feature without its prefix tokens."""
        if self.prefix == 0:
            return self
        mask = None if self.mask is None else self.mask[:, self.prefix :]
        return Feature(self.x[:, self.prefix :], self.grid, 0, mask, None)

    def full_precision(self) -> Feature:
        """The same feature in float32, or in float64 if it is that already."""
        return self if self.x.dtype in {torch.float32, torch.float64} else self.holding(self.x.float())

    def detach(self) -> Feature:
        """The same feature, outside of the autograd graph."""
        return self.holding(self.x.detach())

    def holding(self, x: Float[Tensor, "B N K"]) -> Feature:
        """Other values at the same positions."""
        return Feature(x, self.grid, self.prefix, self.mask, self.summary)

    def _last_valid(self) -> Float[Tensor, "B C"]:
        order = torch.arange(self.x.shape[1], device=self.x.device)
        last = (self.mask * order).argmax(1) if self.mask is not None else order[-1:].expand(len(self.x))
        return self.x[torch.arange(len(self.x), device=self.x.device), last]


Features = Mapping[str, Feature]
