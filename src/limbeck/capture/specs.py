"""From places and layouts to what the rest of limbeck knows of a site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limbeck.capture.layouts import Layout
from limbeck.capture.sites import Place
from limbeck.capture.stages import grouped, stage_numbers
from limbeck.links import FeatureSpec, Role


def to_specs(
    trunk: Sequence[Place],
    last: Place | None,
    layouts: Mapping[str, Layout],
    read: Mapping[str, int | None],
    *,
    padded: bool,
    named: bool = False,
) -> list[FeatureSpec]:
    """The specs of a trunk and of the penultimate representation behind it.

    Args:
        trunk: sites in order of execution.
        last: the penultimate representation; a site of the trunk that is the same tensor is left out, unless ``named``.
        layouts: the axes of every site.
        read: the position that the head reads, of every site.
        padded: whether the batch came with a mask of valid positions.
        named: whether the user asked for just these sites, each of which then gets its spec.
    """
    groups = grouped(trunk)
    numbers = stage_numbers(trunk, layouts)
    specs = []
    stage = 0
    for i, group in enumerate(groups):
        stage = numbers[trunk.index(group[0])]
        ends = i + 1 == len(groups) or numbers[trunk.index(groups[i + 1][0])] != stage
        for place in group:
            if named or last is None or not _same_tensor(place, last):
                depth = (i + 1) / len(groups)
                role: Role = "stage" if ends else "block"
                specs.append(_spec(place, layouts, read, padded=padded, depth=depth, stage=stage, role=role))
    if last is not None:
        specs.append(_spec(last, layouts, read, padded=padded, depth=1.0, stage=stage, role="head"))
    return specs


def _spec(
    place: Place,
    layouts: Mapping[str, Layout],
    read: Mapping[str, int | None],
    *,
    padded: bool,
    depth: float,
    stage: int,
    role: Role,
) -> FeatureSpec:
    layout = layouts[place.site]
    return FeatureSpec(
        site=place.site,
        axes=layout.axes,
        channels=layout.channels,
        positions=layout.positions,
        grid=layout.grid,
        prefix=layout.prefix,
        summary=read.get(place.site),
        variable=padded and layout.follows_input,
        depth=depth,
        stage=stage,
        role=role,
    )


def _same_tensor(place: Place, last: Place) -> bool:
    return place.site == last.site or (place.seen.key is not None and place.seen.key == last.seen.key)
