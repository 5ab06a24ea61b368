"""Lets linear projectors start where ridge regression puts them, for students that know something already."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from limbeck.batch import Batch
from limbeck.distiller.distiller import Distiller
from limbeck.evaluating import evaluating
from limbeck.features import Feature
from limbeck.progress import ProgressBar
from limbeck.projectors.linear import Linear
from limbeck.sharding import write
from limbeck.targets.statistics import Covariance
from limbeck.teachers.feature_source import FeatureSource

# A ridge for features that do not vary.
_LEAST = 1e-60


@torch.no_grad()
def start_projectors(
    distiller: Distiller, source: FeatureSource, batches: Sequence[Batch], *, show: bool = False
) -> None:
    """Let every linear projector that has a ridge start at the map that predicts its target best.

    Both models run once on each batch for all links together, in evaluation mode, and no more than one batch of
    features is held.

    Args:
        distiller: its targets are fitted.
        source: the teacher.
        batches: to fit the maps on.
        show: whether to show a progress bar on a terminal.
    """
    starting = [
        (term, term.projector, Covariance(term.projector.map.in_features + term.projector.map.out_features))
        for term in distiller.every_term
        if isinstance(term.projector, Linear) and term.projector.ridge is not None
    ]
    if not starting:
        return
    with evaluating(distiller), ProgressBar("Starting the projectors", len(batches), show=show) as bar:
        for batch in batches:
            student, teacher = distiller.read_student(batch).features, source(batch).features
            for term, projector, joint in starting:
                mine = projector.positions(student[term.link.student.site])
                joint.add(_side_by_side(mine, term.target(teacher[term.link.teacher.site])))
            bar.advance()
    for _, projector, joint in starting:
        _start(projector, joint)


def _map(inner: Float[Tensor, "S S"], across: Float[Tensor, "S T"], ridge: float) -> Float[Tensor, "T S"]:
    r"""The map $W$ with the least $\lVert Y - X W^\top \rVert^2 + \lambda \lVert W \rVert^2$.

    Args:
        inner: $X^\top X / n$.
        across: $X^\top Y / n$.
        ridge: $\lambda / n$ in units of the mean square of a channel of $X$.
    """
    penalty = (ridge * inner.trace() / len(inner)).clamp_min(_LEAST)
    return torch.linalg.solve(inner + penalty * torch.eye(len(inner), dtype=inner.dtype), across).T


def _side_by_side(mine: Feature, theirs: Feature) -> Feature:
    """The channels of both, at the positions that are valid in both."""
    masks = [each.mask for each in (mine, theirs) if each.mask is not None]
    mask = None if not masks else masks[0] & masks[-1]
    return Feature(torch.cat([mine.x.float(), theirs.x.float()], 2), mask=mask)


def _start(projector: Linear, joint: Covariance) -> None:
    """Write the map; with a bias it is fitted to what is left when the means are taken off."""
    width, linear, products = projector.map.in_features, projector.map, joint.spread
    if linear.bias is None:
        products = products + joint.mean.outer(joint.mean)
    weight = _map(products[:width, :width], products[:width, width:], projector.ridge or 0.0)
    write(linear.weight, weight)
    if linear.bias is not None:
        write(linear.bias, joint.mean[width:] - weight @ joint.mean[:width])
