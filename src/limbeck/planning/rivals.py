"""What else a mapper could have linked, with the numbers that it decides by."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.links import FeatureSpec, LayerMap, Scores
from limbeck.mapping.family import Mapper

# The teacher sites shown for each student site, the chosen one among them: our choice.
SHOWN = 3


def rivals(
    mapper: Mapper,
    links: LayerMap,
    student: Sequence[FeatureSpec],
    teacher: Sequence[FeatureSpec],
    scores: Scores | None,
) -> tuple[dict[str, float], str]:
    """For each link, it and its nearest rivals with a number each, and what the numbers are.

    Empty for a mapper that decides by no number, but by a rule, by chance or by what it was told.

    Args:
        mapper: what chose the links.
        links: what it chose.
        student: all sites it chose among.
        teacher: likewise.
        scores: the similarities it read, if it reads any.
    """
    if mapper.needs_scores and scores is not None:
        places = [{spec.site: place for place, spec in enumerate(side)} for side in (student, teacher)]

        def number(one: FeatureSpec, other: FeatureSpec) -> float:
            return float(scores[places[0][one.site]][places[1][other.site]])

        sign, what = -1.0, "similarity"
    elif mapper.by_depth:

        def number(one: FeatureSpec, other: FeatureSpec) -> float:
            return abs(one.depth - other.depth)

        sign, what = 1.0, "difference in relative depth"
    else:
        return {}, ""
    found: dict[str, float] = {}
    for link in links:
        # Inputs of heads are linked with each other, and nothing else with them.
        alike = [spec for spec in teacher if (spec.role == "head") == (link.teacher.role == "head")]
        others = [spec for spec in alike if spec.site != link.teacher.site]
        nearest = sorted(others, key=lambda spec: sign * number(link.student, spec))[: SHOWN - 1]
        for spec in (link.teacher, *nearest):
            found[f"{link.student.site} <- {spec.site}"] = round(number(link.student, spec), 3)
    return found, what
