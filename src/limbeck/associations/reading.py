"""What a module for each site makes of the site's feature."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from limbeck.features import Feature


def read_sites(
    modules: nn.ModuleList, sites: Sequence[int], features: Sequence[Feature]
) -> dict[int, Float[Tensor, "B D"]]:
    """The answer of each site's module to what the head reads of the site, computed once however many links it has."""
    found: dict[int, Tensor] = {}
    for site, feature in zip(sites, features, strict=True):
        if site not in found:
            found[site] = modules[site](feature.full_precision().pooled())
    return found
