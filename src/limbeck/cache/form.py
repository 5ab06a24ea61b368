"""In what form the feature of a site is stored."""

from __future__ import annotations

import math
from dataclasses import dataclass
from urllib.parse import quote

import torch
from jaxtyping import Bool
from torch import Tensor

from limbeck._math.resize import resize
from limbeck.features import Feature
from limbeck.links import FeatureSpec


@dataclass(frozen=True)
class Form:
    """In what form a site's feature is stored.

    Attributes:
        site: name of the site.
        grid: grid that it is averaged to first, ``()`` for a vector; ``None`` to store every position.
        summary: whether what the head reads is stored in front of the grid, as one position more.

    Example:
        >>> form = Form("blocks.11", (2, 2), summary=True)
        >>> stored = form.of(Feature(torch.rand(3, 17, 8), (4, 4), prefix=1, summary=0))
        >>> stored.x.shape, str(form)
        (torch.Size([3, 5, 8]), 'blocks.11+2x2+summary')
    """

    site: str
    grid: tuple[int, ...] | None = None
    summary: bool = False

    @classmethod
    def pooled(cls, spec: FeatureSpec, grid: tuple[int, ...] | None) -> Form:
        """The form for a site on a grid, with its summary unless that is the mean of the grid.

        A class token is not; nor is the mean over the site's positions where they are not divided evenly, as those of
        a padded sequence are not.
        """
        if not grid:
            return cls(spec.site, grid)
        even = len(grid) > 1 and spec.grid is not None and not spec.variable
        even = even and all(have % want == 0 for have, want in zip(spec.grid or (), grid, strict=False))
        return cls(spec.site, grid, summary=spec.summary is not None or not even)

    def of(self, feature: Feature) -> Feature:
        """The feature as it is stored, before it is encoded."""
        if self.grid is None:
            return feature
        resized = resize(feature, self.grid)
        if not self.summary:
            return resized
        mask = None if resized.mask is None else torch.nn.functional.pad(resized.mask, (1, 0), value=True)
        return Feature(torch.cat([feature.pooled().unsqueeze(1), resized.x], 1), resized.grid, 1, mask, 0)

    def shape(self, spec: FeatureSpec) -> tuple[int, int]:
        """Positions and channels that are stored of each sample."""
        if self.grid is None:
            return spec.positions, spec.channels
        return math.prod(self.grid) + self.summary, spec.channels

    def feature(self, x: Tensor, spec: FeatureSpec, mask: Bool[Tensor, "B N"] | None) -> Feature:
        """The feature again.

        Args:
            x: what was stored.
            spec: of the site.
            mask: of the batch: ``False`` marks padding.
        """
        if self.grid is None:
            mask = mask if mask is not None and mask.shape == x.shape[:2] else None
            return Feature(x, spec.grid, spec.prefix, mask, spec.summary)
        mask = None if mask is None else self._valid(spec, mask)
        return Feature(x, self.grid or None, int(self.summary), mask, 0 if self.summary else None)

    def _valid(self, spec: FeatureSpec, mask: Bool[Tensor, "B N"]) -> Bool[Tensor, "B M"] | None:
        """The mask as pooling leaves it."""
        positions = mask.shape[1]
        if positions != spec.positions and not spec.variable:
            return None
        grid = spec.grid if positions == spec.positions else (positions - spec.prefix,)
        empty = torch.zeros(*mask.shape, 1, device=mask.device)
        return self.of(Feature(empty, grid, spec.prefix, mask, spec.summary)).mask

    def __str__(self) -> str:
        """Name of its folder; no two forms share one."""
        grid = "" if self.grid is None else "+" + ("x".join(map(str, self.grid)) or "vector")
        return quote(self.site, safe="") + grid + ("+summary" if self.summary else "")
