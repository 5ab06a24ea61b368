"""Resolves a recipe for one pair of models on one kind of data."""

from __future__ import annotations

from typing import Any

import limbeck.mapping
import limbeck.outputs
import limbeck.similarity
from limbeck.capture.anatomy import Anatomy
from limbeck.choice import Choice
from limbeck.errors import PlanMismatch
from limbeck.links import LayerMap, Link
from limbeck.mapping.family import Mapper
from limbeck.planning import fitting
from limbeck.planning.choosing_outputs import Outputs, choose_outputs
from limbeck.planning.committees import CommitteePlan
from limbeck.planning.facts import Facts
from limbeck.planning.plan import Plan
from limbeck.planning.rivals import rivals
from limbeck.planning.term_plan import TermPlan
from limbeck.recipe.recipe import Recipe
from limbeck.recipe.settings import Settings
from limbeck.teachers.committee import member_of

MEMORY = "remembered samples"


def make_plan(
    recipe: Recipe,
    student: Anatomy,
    teacher: Anatomy,
    facts: Facts,
    *,
    names: tuple[str, str],
    committee: CommitteePlan | None = None,
    scores: Any = None,
) -> Plan:
    """Choose links, projectors, targets and output losses; everything chosen carries its reason.

    Args:
        recipe: what to resolve.
        student: the student's sites.
        teacher: the teacher's sites.
        facts: of the data.
        names: of student and teacher, for people.
        committee: the members, where the teacher is a committee.
        scores: similarity of every student site to every teacher site, for a mapper that needs it.

    Raises:
        PlanMismatch: if a loss cannot be used on a link of this pair.
        RecipeError: if the recipe names something unknown.
    """
    choices = [*facts.notes, facts.task.choice, _sites_choice("student", student)]
    members = {f"teacher '{name}'": each for name, each in teacher.members.items()} or {"teacher": teacher}
    choices += [_sites_choice(side, each) for side, each in members.items()]
    mapped = _mapped(recipe, student, teacher, scores) if recipe.features else {}
    for name, each in mapped.items():
        choices.append(_mapping_choice(recipe, name, each, student, teacher, scores))
    links = tuple(link for each in mapped.values() for link in each)
    terms = tuple(
        planned_term(recipe, link, index, len(each), facts.numbered, committee)
        for each in mapped.values()
        for link in each
        for index in range(len(recipe.features))
    )
    outputs, output_choice = choose_outputs(recipe, facts)
    choices += _committee_choices(committee, outputs)
    choices += [*_memory_choices(recipe, facts.numbered), output_choice, *_recipe_choices(recipe, bool(links))]
    if not terms and not outputs and not facts.own_loss:
        raise PlanMismatch(
            f"A plan needs something to learn from. Recipe '{recipe.name}' leaves no link and no output loss "
            f"({output_choice.reason}). Use recipe='auto', or recipe='features' for data without labels."
        )
    return Plan(
        recipe=recipe,
        teacher=names[1],
        student=names[0],
        committee=committee,
        terms=terms,
        outputs=outputs,
        next_token=facts.task.next_token,
        association=recipe.association if terms else None,
        balancer=recipe.balancer,
        schedule=recipe.schedule,
        training=recipe.training,
        start=recipe.start,
        teacher_sites=tuple({link.teacher.site: link.teacher for link in links}.values()),
        student_sites=tuple({link.student.site: link.student for link in links}.values()),
        choices=tuple(choices),
    )


def mapper_of(recipe: Recipe) -> Mapper:
    """The mapper that a recipe names."""
    return recipe.mapping.build(limbeck.mapping)


def _mapped(recipe: Recipe, student: Anatomy, teacher: Anatomy, scores: Any) -> dict[str, LayerMap]:
    """The links with each member of a committee, mapped as if it were alone; under an empty name with one teacher.

    Among all sites at once a mapper would use up the student's sites on one of the members.
    """
    mapper, found = mapper_of(recipe), {}
    if not teacher.members:
        return {"": mapper(student.specs, teacher.specs, scores)}
    if mapper.names_sites:
        links = mapper(student.specs, teacher.specs, scores)
        return {
            name: tuple(link for link in links if link.teacher in one.specs) for name, one in teacher.members.items()
        }
    for name, one in teacher.members.items():
        of_it = _of_sites(scores, one, teacher)
        # A member of whose sites none is to be considered teaches by its answers only.
        found[name] = mapper(student.specs, one.specs, of_it) if one.specs else ()
    return found


def _of_sites(scores: Any, one: Anatomy, teacher: Anatomy) -> Any:
    """The similarities to the sites of one of the teacher's members, if there are any."""
    return None if scores is None else scores[:, [spec in one.specs for spec in teacher.specs]]


def _of_member(term: TermPlan, committee: CommitteePlan) -> TermPlan:
    """A term with its member's part of the share, so that another member adds nothing to what features weigh."""
    name = member_of(term.teacher)
    share = term.share * committee.weights[name]
    return term.model_copy(update={"share": share, "reason": f"teacher '{name}'; {term.reason}"})


def mapping_name(member: str) -> str:
    """What the choice of the links with a member of a committee is called, and with a single teacher."""
    return f"mapping of '{member}'" if member else "mapping"


def planned_term(
    recipe: Recipe,
    link: Link,
    index: int,
    links: int,
    numbered: int | None = None,
    committee: CommitteePlan | None = None,
) -> TermPlan:
    """What the recipe's feature loss number ``index`` becomes on one of ``links`` links.

    A loss that remembers every sample is told that there are ``numbered``.
    """
    feature = recipe.features[index]
    fused = fitting.fuses(recipe.association)
    fitted = fitting.choose(link, feature.loss, fused, feature.both)
    targets = fitted.targets if feature.targets == "auto" else feature.targets
    projector = fitted.projector
    if feature.targets != "auto":
        projector = fitting.choose_projector(link, feature.loss, targets, fused, feature.both)
    if feature.projector != "auto":
        projector = None if feature.projector == "none" else feature.projector
    fitting.check(link, feature.loss, projector, targets, fused, feature.both)
    term = TermPlan(
        student=link.student.site,
        teacher=link.teacher.site,
        loss=fitting.remembering(feature.loss, numbered),
        projector=projector,
        targets=targets,
        both=feature.both,
        share=feature.share / links if recipe.average_links else feature.share,
        reason=f"depth {link.student.depth:.2f} <- {link.teacher.depth:.2f}; {fitted.reason}",
    )
    return term if committee is None else _of_member(term, committee)


def _sites_choice(side: str, anatomy: Anatomy) -> Choice:
    reason = f"found by {anatomy.method}" + "".join(f"; {note}" for note in anatomy.notes)
    stages = len({spec.stage for spec in anatomy.trunk})
    head = anatomy.head or "none"
    return Choice(f"{side} sites", len(anatomy.specs), reason, {"stages": stages, "head": head})


def _mapping_choice(
    recipe: Recipe, member: str, links: LayerMap, student: Anatomy, teacher: Anatomy, scores: Any
) -> Choice:
    one = teacher.members.get(member, teacher)
    shown = [f"{link.student.site} <- {link.teacher.site}" for link in links]
    mapper = mapper_of(recipe)
    among = f"{mapper} among {len(student.specs)} student and {len(one.specs)} teacher sites"
    found, what = rivals(mapper, links, student.specs, one.specs, _of_sites(scores, one, teacher))
    numbers = f"; the numbers are the {what}" if what else ""
    return Choice(mapping_name(member), shown, f"{among}: {recipe.reason('mapping')}{numbers}", dict(found))


def _committee_choices(committee: CommitteePlan | None, outputs: Outputs) -> list[Choice]:
    if committee is None:
        return []
    weights = {name: round(weight, 4) for name, weight in committee.weights.items()}
    shared = "each member's features have this part of the features' share, so that another one adds none to it"
    found = [Choice("committee", list(weights), shared, weights)]
    if committee.drop:
        found.append(Choice("teacher dropping", committee.drop, _what_runs(outputs)))
    return found


def _what_runs(outputs: Outputs) -> str:
    answers = any("teacher_output" in each.loss.resolve(limbeck.outputs).requires for each in outputs)
    runs = (
        "runs nevertheless, as its answers are learnt"
        if answers
        else "does not run, unless a cache or a balancer asks for it"
    )
    return f"how likely it is that the features of a member are left out of a step; it then {runs}"


def _memory_choices(recipe: Recipe, numbered: int | None) -> list[Choice]:
    losses = [each.loss for each in recipe.features]
    if all(fitting.remembering(loss, numbered) == loss for loss in losses):
        return []
    return [Choice(MEMORY, numbered, "the length of the training data, for a loss that remembers every sample")]


def _recipe_choices(recipe: Recipe, linked: bool) -> list[Choice]:
    """What the recipe decides for every pair: balance, schedule and the parts of the training that are never given."""
    training = recipe.training
    choices = [
        Choice("balance", str(recipe.balancer), recipe.reason("balancer")),
        Choice("schedule", str(recipe.schedule), recipe.reason("schedule")),
    ]
    reason = "its defaults; projectors, biases and norms are not decayed; the rate first rises"
    rate = "one that suits the student, with its triple beside it in training" if training.lr == "auto" else "given"
    return [
        *(choices if linked else []),
        Choice("optimizer", optimizer_phrase(training), reason),
        Choice("learning rate", training.lr, rate),
    ]


def optimizer_phrase(training: Settings) -> str:
    """How the weights move, in one line, as the choice of it shows it."""
    return (
        f"{training.optimizer}, weight decay {training.weight_decay:g}, gradients clipped at {training.clip}, "
        f"rate decay {training.decay}"
    )
