"""Looking at a teacher that may be a committee of several, and reading its answers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from limbeck.batch import Batch, ReadOutput
from limbeck.capture import Anatomy, probe
from limbeck.choice import Choice
from limbeck.errors import ModelError, SiteError
from limbeck.planning.task import Task
from limbeck.teachers.committee import Committee, CommitteeAnswer, member_of, of_member, within_member
from limbeck.teachers.mean_answers import Mean, mean_numbers, mean_probabilities, mean_yes_or_no

ANSWER = "committee's answer"
# By the loss that the task learns answers with; of anything else the numbers themselves.
_MEANS: dict[str | None, tuple[Mean, str]] = {
    "SoftLabels": (mean_probabilities, "probabilities"),
    "BinarySoftLabels": (mean_yes_or_no, "probabilities of a yes"),
}
Shape = tuple[int, ...]


class CommitteePlan(BaseModel):
    """Several teachers in a plan.

    Attributes:
        weights: of each member by its name, in sum 1; the shares of the terms were divided by them.
        drop: how likely it is that a member is left out of a step.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: dict[str, float]
    drop: float = Field(default=0.0, ge=0, le=1)


def look_at(
    model: nn.Module,
    batch: Batch,
    *,
    layouts: Mapping[str, str] | None = None,
    output: ReadOutput | None = None,
    sites: Sequence[str] | None = None,
) -> Anatomy:
    """Probe a model, or every member of a committee by itself; the arguments are those of :func:`limbeck.probe`.

    Raises:
        ModelError: if a member does not run on the batch; names it.
        SiteError: if a site is no member's.
    """
    if not isinstance(model, Committee):
        return probe(model, batch, layouts=layouts, output=output, sites=sites)
    stated = _divided(model, list(layouts or {}))
    asked = None if sites is None else _divided(model, sites)
    found: dict[str, Anatomy] = {}
    for name, member in model.members.items():
        axes = {within_member(site): (layouts or {})[site] for site in stated[name]}
        # Of a member that is not to be linked, the answer is looked at nevertheless.
        mine = [within_member(site) for site in asked[name]] if asked is not None else []
        try:
            seen = probe(member, batch, layouts=axes, output=output, sites=mine or None)
        except ModelError as error:
            raise ModelError(
                f"The member '{name}' of the committee: {error} All members get the same inputs: give one that needs "
                "another size or normalisation in a module that sees to that (docs/how-to/several-teachers.md)."
            ) from error
        found[name] = _placed(name, seen if asked is None or mine else replace(seen, specs=(), costs={}))
    return _joined(found)


def look_at_side(side: str, model: nn.Module, batch: Batch, **said: Any) -> Anatomy:
    """Look at the student, or at the teacher with its own inputs; of other tokens, its positions are its own."""
    if side == "student":
        return look_at(model, batch, **said)
    found = look_at(model, batch.for_teacher, **said)
    return _of_other_tokens(found) if batch.other_tokens else found


def _of_other_tokens(found: Anatomy) -> Anatomy:
    specs = tuple(replace(each, own_positions=True) for each in found.specs)
    return replace(found, specs=specs, members={name: _of_other_tokens(each) for name, each in found.members.items()})


def called(teacher: nn.Module) -> str:
    """The class of a teacher, or the names of a committee's members."""
    return " + ".join(teacher.members) if isinstance(teacher, Committee) else type(teacher).__name__


def answer_shape(anatomy: Anatomy) -> Shape | None:
    """The shape of a model's logits, its batch axis 0, as models are probed with different numbers of samples."""
    return None if anatomy.output_shape is None else (0, *anatomy.output_shape[1:])


@dataclass(frozen=True)
class ReadCommittee:
    """Reads logits as ``read`` does, and the mean of the members' where a committee answered.

    Attributes:
        read: takes the logits from what a single model returned.
        answering: places of the members whose answers are joined.
        mean: of their answers.
    """

    read: ReadOutput
    answering: tuple[int, ...]
    mean: Mean

    def __call__(self, output: Any) -> Any:
        """The logits; ``None`` if no member gives any that can be joined."""
        if not isinstance(output, CommitteeAnswer):
            return self.read(output)
        if not self.answering:
            return None
        weights = output.weights[list(self.answering)]
        answers = [self.read(output.members[place]) for place in self.answering]
        return self.mean(answers, weights / weights.sum())


def answer_of(
    committee: Committee, anatomy: Anatomy, student: Shape | None, task: Task, read: ReadOutput
) -> tuple[ReadCommittee, Shape | None, Choice]:
    """How the answers of a committee are joined, the shape of what comes of it, and why.

    Args:
        committee: the teachers.
        anatomy: of all of them.
        student: :func:`answer_shape` of the student.
        task: says what the answers are: classes, labels or numbers.
        read: takes the logits from what a single model returned.
    """
    shapes = {name: answer_shape(anatomy.members[name]) for name in committee.members}
    answering = tuple(place for place, shape in enumerate(shapes.values()) if shape is not None and shape == student)
    mean, what = _MEANS.get(task.means.teacher, (mean_numbers, "numbers"))
    names = [list(shapes)[place] for place in answering]
    numbers = {name: _said(each) for name, each in shapes.items()}
    value = names or "none"
    reason = f"mean of the {what} of the members that answer in the student's shape"
    shape = student if answering else next(iter(shapes.values()))
    choice = Choice(
        ANSWER, value, reason if names else f"none answers in the student's shape, {_said(student)}", numbers
    )
    return ReadCommittee(read, answering, mean), shape, choice


def _said(shape: Shape | None) -> str:
    return "none" if shape is None else f"[{', '.join(['B', *map(str, shape[1:])])}]"


def _placed(name: str, anatomy: Anatomy) -> Anatomy:
    """A member's anatomy, its sites called as the committee calls them."""
    return replace(
        anatomy,
        specs=tuple(replace(spec, site=of_member(name, spec.site)) for spec in anatomy.specs),
        head=None if anatomy.head is None else of_member(name, anatomy.head),
        costs={of_member(name, site): cost for site, cost in anatomy.costs.items()},
    )


def _joined(members: Mapping[str, Anatomy]) -> Anatomy:
    return Anatomy(
        specs=tuple(spec for each in members.values() for spec in each.specs),
        head=None,
        method="looking at each member by itself",
        notes=tuple(f"'{name}': {note}" for name, each in members.items() for note in each.notes),
        costs={site: cost for each in members.values() for site, cost in each.costs.items()},
        parameters=sum(each.parameters for each in members.values()),
        macs=sum(each.macs for each in members.values()),
        members=dict(members),
    )


def _divided(committee: Committee, sites: Sequence[str]) -> dict[str, list[str]]:
    """The sites of each member; ``*`` in the place of a name stands for every member."""
    found: dict[str, list[str]] = {name: [] for name in committee.members}
    for site in sites:
        pattern = re.escape(member_of(site)).replace(r"\*", ".*")
        names = [name for name in found if re.fullmatch(pattern, name)]
        if not names:
            raise SiteError(
                f"A site of a committee begins with a member's name. Found '{site}'. The members are "
                f"{', '.join(found)}: write '{next(iter(found))}.layer3' for its 'layer3'."
            )
        for name in names:
            found[name].append(of_member(name, within_member(site)))
    return found
