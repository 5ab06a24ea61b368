"""What stands between the two sides of a link, so that a loss can compare them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import NamedTuple

import torch

import limbeck.associations
import limbeck.losses
import limbeck.projectors
import limbeck.targets
from limbeck.cache.keying import Keys
from limbeck.context import Heads
from limbeck.errors import PlanMismatch, ShapeMismatch
from limbeck.links import Link, Match
from limbeck.losses.family import FeatureLoss
from limbeck.projectors.family import Projector
from limbeck.recipe.part import Part
from limbeck.targets.family import Target

ASSOCIATIONS: ModuleType = limbeck.associations
LOSSES: ModuleType = limbeck.losses
PROJECTORS: ModuleType = limbeck.projectors
TARGETS: ModuleType = limbeck.targets
_NO_HEADS = Heads()


class Fitted(NamedTuple):
    """Projector and targets chosen for a link, and why."""

    projector: Part | None
    targets: tuple[Part, ...]
    reason: str


def choose(link: Link, loss: Part, fused: Match = Match.NOTHING, both: Sequence[Part] = ()) -> Fitted:
    """What the loss needs between the two sides; nothing where they agree already.

    Positions are reconciled on the teacher's side by pooling to the common grid, or to a vector where the positions do
    not correspond; the student is then brought to that shape by the projector. A loss that compares channel by channel
    gets a standardised target, on which a value of 1 means that nothing is explained, unless it reads the teacher's own
    units.

    Args:
        link: the two sites.
        loss: the comparison.
        fused: in what an association makes the student agree already.
        both: what either side passes through right before the loss.
    """
    fitted = _choose(link, loss, _needs(loss) & ~_paired(link, both), fused, both)
    if fitted.projector is None or _can_be_built(link, fitted.projector, fitted.targets):
        return fitted
    # The loss compares no positions, but a projector to the teacher's channels goes by them.
    return _choose(link, loss, _needs(loss) | Match.POSITIONS, fused, both)


def _choose(link: Link, loss: Part, needs: Match, fused: Match, both: Sequence[Part]) -> Fitted:
    pool, reason = _pooling(link, needs)
    standardised = Match.CHANNELS in needs and not loss.resolve(LOSSES).needs_raw_target
    targets = ([pool] if pool is not None else []) + ([Part(kind="Standardise")] if standardised else [])
    projector = choose_projector(link, loss, targets, fused, both)
    if projector is not None and projector.kind == "PositionLinear":
        reason += "; positions are kept apart"
    return Fitted(projector, tuple(targets), reason)


def choose_projector(
    link: Link, loss: Part, targets: Sequence[Part], fused: Match = Match.NOTHING, both: Sequence[Part] = ()
) -> Part | None:
    """The projector that a loss needs between the given targets and an association that fuses, or ``None``."""
    aimed, same_space = described(link, targets)
    equal = aimed.already_equal() if same_space else aimed.already_equal() & ~Match.CHANNELS
    missing = _needs(loss) & ~equal & ~fused & ~_paired(aimed, both)
    if missing is Match.NOTHING:
        return None
    if link.student.positions == 1 and aimed.teacher.positions > 1:
        return Part(kind="PositionLinear")
    return Part(kind="Linear") if Match.CHANNELS in missing else Part(kind="Resample")


def _can_be_built(link: Link, projector: Part, targets: Sequence[Part]) -> bool:
    try:
        # Nothing is drawn on this device: the random numbers of what is built later stay the same.
        with torch.device("meta"):
            build_projector(link, projector, targets)
    except ShapeMismatch:
        return False
    return True


def described(link: Link, targets: Sequence[Part]) -> tuple[Link, bool]:
    """The link as its targets leave it, and whether the teacher's channels still are the teacher's own."""
    same_space = True
    for target in build_targets(link, targets):
        link = Link(link.student, target.describe(link.teacher))
        same_space = same_space and target.keeps_channels
    return link, same_space


def build_targets(link: Link, targets: Sequence[Part], heads: Heads = _NO_HEADS) -> list[Target]:
    """The targets, each built with the sizes that the one before leaves and, where it reads it, the teacher's head.

    One that reads a head and gets none can describe what comes out of it, and refuses to be fitted.
    """
    built: list[Target] = []
    for part in targets:
        given = [link, heads] if part.resolve(TARGETS).requires else [link]
        target: Target = part.build(TARGETS, *given, method="for_link")
        built.append(target)
        link = Link(link.student, target.describe(link.teacher))
    return built


def build_both(link: Link, both: Sequence[Part]) -> tuple[list[Target], Link]:
    """What either side passes through right before the loss, and the link as it leaves it."""
    built: list[Target] = []
    for part in both:
        target: Target = part.build(TARGETS, link, method="for_link")
        built.append(target)
        link = Link(target.describe(link.student), target.describe(link.teacher))
    return built, link


def build_projector(link: Link, projector: Part | None, targets: Sequence[Part]) -> Projector | None:
    """The projector with the sizes that the targets leave."""
    if projector is None:
        return None
    return projector.build(PROJECTORS, described(link, targets)[0], method="for_link")


def build_loss(
    link: Link,
    loss: Part,
    projector: Part | None,
    targets: Sequence[Part],
    heads: Heads,
    fused: Match = Match.NOTHING,
    both: Sequence[Part] = (),
) -> FeatureLoss:
    """The loss, with the sizes of what reaches it and the heads that it reads features through.

    Raises:
        PlanMismatch: if it needs a head that the model does not have, or sizes that the link does not have.
    """
    cls = loss.resolve(LOSSES)
    for side in ("student", "teacher"):
        if f"{side}_head" in cls.requires and getattr(heads, side) is None:
            raise PlanMismatch(
                f"{loss.kind} reads features through the {side}'s last linear layer. Found a {side} that has none. "
                "Use a loss that needs no head (MSE, Cosine, CKA)."
            )
    _, compared = build_both(joined(link, projector, targets, fused), both)
    if cls.for_link.__func__ is FeatureLoss.for_link.__func__:
        built: FeatureLoss = loss.build(LOSSES)
    else:
        built = loss.build(LOSSES, compared, heads, method="for_link")
    sizes = [(spec.positions - spec.prefix, spec.channels) for spec in (compared.student, compared.teacher)]
    try:
        built.check_sizes(*sizes)
    except ShapeMismatch as error:
        sites = f"student '{link.student.site}' and teacher '{link.teacher.site}'"
        raise PlanMismatch(f"{loss.kind} cannot compare {sites}. {error}") from error
    return built


def joined(link: Link, projector: Part | None, targets: Sequence[Part], fused: Match) -> Link:
    """The link as projector, targets and association leave it."""
    aimed, _ = described(link, targets)
    student, teacher = aimed.student, aimed.teacher
    aligned = fused | (Match.NOTHING if projector is None else _aligns(projector))
    if Match.CHANNELS in aligned:
        student = replace(student, channels=teacher.channels)
    if aligned & (Match.POSITIONS | Match.GRID):
        student = replace(student, positions=teacher.positions, grid=teacher.grid, prefix=teacher.prefix)
    return Link(student, teacher)


def check(
    link: Link,
    loss: Part,
    projector: Part | None,
    targets: Sequence[Part],
    fused: Match = Match.NOTHING,
    both: Sequence[Part] = (),
) -> None:
    """Refuse a term whose loss could not compare what reaches it.

    Raises:
        PlanMismatch: naming the two sites, what is missing and what to add.
    """
    aimed, _ = described(link, targets)
    aligned = fused | (_aligns(projector) if projector is not None else Match.NOTHING)
    _refuse_other_tokens(aimed, loss, both)
    missing = _needs(loss) & ~aimed.already_equal() & ~aligned & ~_paired(aimed, both)
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


def _refuse_other_tokens(aimed: Link, loss: Part, both: Sequence[Part]) -> None:
    """Refuse to compare positions of two networks that read different tokens."""
    _, compared = build_both(aimed, both)
    if not compared.teacher.own_positions:
        return
    by_position = compared.teacher.positions > 1 and bool(_needs(loss) & (Match.POSITIONS | Match.GRID))
    if by_position or loss.resolve(LOSSES).minimum_positions > 1:
        raise PlanMismatch(
            f"{loss.kind} compares positions, so that both models must read the same tokens. Found a teacher with "
            f"inputs of its own (teacher_inputs), of whose positions none is one of the student's. Link student "
            f"'{aimed.student.site}' and teacher '{aimed.teacher.site}' by a loss on pooled features (MSE or Cosine "
            "with the target PoolVector) or on samples (CKA, RKDDistance)."
        )


def keys_for(losses: Iterable[Part]) -> Keys | None:
    """How samples are known by number, if a loss must know them so."""
    return Keys() if any("keys" in each.resolve(LOSSES).requires for each in losses) else None


def remembering(loss: Part, samples: int | None) -> Part:
    """The loss, told how many samples there are to remember where it must know and was not told."""
    make = loss.resolve(LOSSES).for_link
    if samples is None or "samples" in loss.options or "samples" not in inspect.signature(make).parameters:
        return loss
    return Part.model_validate({**loss.plain(), "samples": samples})


def fuses(association: Part | None) -> Match:
    """In what an association makes the student's features agree with their targets."""
    return Match.NOTHING if association is None else association.resolve(ASSOCIATIONS).aligns


def _paired(link: Link, both: Sequence[Part]) -> Match:
    """In what of their positions the two sides agree once either passed through ``both``."""
    if not both:
        return Match.NOTHING
    _, paired = build_both(link, both)
    return paired.already_equal() & (Match.POSITIONS | Match.GRID)


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
    if teacher.own_positions:
        return Part(kind="PoolVector"), "the models read different tokens, so both sides are pooled"
    alike = link.already_equal()
    if Match.POSITIONS in alike and (Match.GRID in alike or Match.GRID not in needs):
        return None, "both sides have the same positions"
    ranks = {len(spec.grid) for spec in (student, teacher) if spec.grid is not None and spec.positions > 1}
    if teacher.grid is None or student.variable or teacher.variable or len(ranks) > 1:
        return Part(kind="PoolVector"), "positions do not correspond, so both sides are pooled"
    return Part(kind="PoolGrid"), "both sides are pooled to their common grid"
