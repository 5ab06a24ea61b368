"""What stands between the two sides of a link, so that a loss can compare them."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

import limbeck.losses
import limbeck.projectors
import limbeck.targets
from limbeck.errors import PlanMismatch
from limbeck.links import Link, Match
from limbeck.projectors.family import Projector
from limbeck.recipe.part import Part
from limbeck.targets.family import Target

LOSSES: ModuleType = limbeck.losses
PROJECTORS: ModuleType = limbeck.projectors
TARGETS: ModuleType = limbeck.targets


class Fitted(NamedTuple):
    """Projector and targets chosen for a link, and why."""

    projector: Part | None
    targets: tuple[Part, ...]
    reason: str


def choose(link: Link, loss: Part) -> Fitted:
    """What the loss needs between the two sides; nothing where they agree already.

    Positions are reconciled on the teacher's side by pooling to the common grid, or to a vector where the positions do
    not correspond; the student is then brought to that shape by the projector. A loss that compares channel by channel
    gets a standardised target, on which a value of 1 means that nothing is explained.
    """
    needs = _needs(loss)
    pool, reason = _pooling(link, needs)
    targets = ([pool] if pool is not None else []) + ([Part(kind="Standardise")] if Match.CHANNELS in needs else [])
    projector = choose_projector(link, loss, targets)
    if projector is not None and projector.kind == "PositionLinear":
        reason += "; positions are kept apart"
    return Fitted(projector, tuple(targets), reason)


def choose_projector(link: Link, loss: Part, targets: Sequence[Part]) -> Part | None:
    """The projector that a loss needs after the given targets, or ``None``."""
    aimed, same_space = described(link, targets)
    equal = aimed.already_equal() if same_space else aimed.already_equal() & ~Match.CHANNELS
    missing = _needs(loss) & ~equal
    if missing is Match.NOTHING:
        return None
    if Match.CHANNELS not in missing:
        return Part(kind="Resample")
    if link.student.positions == 1 and aimed.teacher.positions > 1:
        return Part(kind="PositionLinear")
    return Part(kind="Linear")


def described(link: Link, targets: Sequence[Part]) -> tuple[Link, bool]:
    """The link as its targets leave it, and whether the teacher's channels still are the teacher's own."""
    same_space = True
    for target in build_targets(link, targets):
        link = Link(link.student, target.describe(link.teacher))
        same_space = same_space and target.keeps_channels
    return link, same_space


def build_targets(link: Link, targets: Sequence[Part]) -> list[Target]:
    """The targets, each built with the sizes that the one before leaves."""
    built: list[Target] = []
    for part in targets:
        target: Target = part.build(TARGETS, link, method="for_link")
        built.append(target)
        link = Link(link.student, target.describe(link.teacher))
    return built


def build_projector(link: Link, projector: Part | None, targets: Sequence[Part]) -> Projector | None:
    """The projector with the sizes that the targets leave."""
    if projector is None:
        return None
    return projector.build(PROJECTORS, described(link, targets)[0], method="for_link")


def check(link: Link, loss: Part, projector: Part | None, targets: Sequence[Part]) -> None:
    """Refuse a term whose loss could not compare what reaches it.

    Raises:
        PlanMismatch: naming the two sites, what is missing and what to add.
    """
    aimed, _ = described(link, targets)
    aligned = _aligns(projector) if projector is not None else Match.NOTHING
    missing = _needs(loss) & ~aimed.already_equal() & ~aligned
    if missing is not Match.NOTHING:
        student, teacher = aimed.student, aimed.teacher
        fitting = choose(link, loss)
        raise PlanMismatch(
            f"{loss.kind} between student '{student.site}' and teacher '{teacher.site}' needs equal "
            f"{str(missing.name).lower().replace('|', ' and ')}. Found {student.channels} channels at "
            f"{student.positions} positions (grid {student.grid}) and {teacher.channels} channels at "
            f"{teacher.positions} positions (grid {teacher.grid}). Write projector: "
            f"{fitting.projector and fitting.projector.plain()}, targets: {[each.plain() for each in fitting.targets]}."
        )


def _needs(loss: Part) -> Match:
    return loss.resolve(LOSSES).needs


def _aligns(projector: Part) -> Match:
    return projector.resolve(PROJECTORS).aligns


def _pooling(link: Link, needs: Match) -> tuple[Part | None, str]:
    """How the teacher's positions are brought to those that both sides have."""
    student, teacher = link.student, link.teacher
    if not needs & (Match.POSITIONS | Match.GRID):
        return None, "the loss compares samples, not positions"
    if teacher.positions == 1:
        return None, "the teacher's feature is a vector"
    alike = link.already_equal()
    if Match.POSITIONS in alike and (Match.GRID in alike or Match.GRID not in needs):
        return None, "both sides have the same positions"
    ranks = {len(spec.grid) for spec in (student, teacher) if spec.grid is not None and spec.positions > 1}
    if teacher.grid is None or student.variable or teacher.variable or len(ranks) > 1:
        return Part(kind="PoolVector"), "positions do not correspond, so both sides are pooled"
    return Part(kind="PoolGrid"), "both sides are pooled to their common grid"
