"""Resolves a recipe for one pair of models on one kind of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import limbeck.mapping
import limbeck.similarity
from limbeck.capture.anatomy import Anatomy
from limbeck.choice import Choice
from limbeck.errors import PlanMismatch
from limbeck.links import LayerMap, Link
from limbeck.mapping.family import Mapper
from limbeck.planning import fitting
from limbeck.planning.plan import Plan
from limbeck.planning.task import Task
from limbeck.planning.term_plan import TermPlan
from limbeck.recipe.part import Part
from limbeck.recipe.recipe import OutputTerm, Recipe
from limbeck.recipe.settings import Settings

FEW_LABELS = 2000


@dataclass(frozen=True)
class Facts:
    """What was learnt of the data and the models before anything is chosen.

    Attributes:
        samples: in an epoch, those held out included; ``None`` for a stream.
        task: what the labels ask of the student.
        student_shape: of the student's logits; ``None`` if it has none.
        teacher_shape: likewise.
        notes: decisions made on the way, such as the held-out share.
    """

    samples: int | None
    task: Task
    student_shape: tuple[int, ...] | None
    teacher_shape: tuple[int, ...] | None
    notes: tuple[Choice, ...] = ()

    @property
    def same_outputs(self) -> bool:
        """Whether both models answer in the same shape."""
        return self.student_shape is not None and self.student_shape == self.teacher_shape


def make_plan(
    recipe: Recipe,
    student: Anatomy,
    teacher: Anatomy,
    facts: Facts,
    *,
    names: tuple[str, str],
    scores: Any = None,
) -> Plan:
    """Choose links, projectors, targets and output losses; everything chosen carries its reason.

    Args:
        recipe: what to resolve.
        student: the student's sites.
        teacher: the teacher's sites.
        facts: of the data.
        names: of student and teacher, for people.
        scores: similarity of every student site to every teacher site, for a mapper that needs it.

    Raises:
        PlanMismatch: if a loss cannot be used on a link of this pair.
        RecipeError: if the recipe names something unknown.
    """
    choices = [*facts.notes, facts.task.choice, _sites_choice("student", student), _sites_choice("teacher", teacher)]
    links: LayerMap = ()
    if recipe.features:
        links = mapper_of(recipe)(student.specs, teacher.specs, scores)
        choices.append(_mapping_choice(recipe, links, student, teacher))
    terms = tuple(
        planned_term(recipe, link, index, len(links)) for link in links for index in range(len(recipe.features))
    )
    outputs, output_choice = choose_outputs(recipe, facts)
    choices += [output_choice, *_recipe_choices(recipe, bool(links))]
    if not terms and not outputs:
        raise PlanMismatch(
            f"Recipe '{recipe.name}' leaves nothing to learn from: no link and no output loss. Use recipe='auto', or "
            "recipe='features' for data without labels."
        )
    return Plan(
        recipe=recipe,
        teacher=names[1],
        student=names[0],
        terms=terms,
        outputs=outputs,
        association=recipe.association if terms else None,
        balancer=recipe.balancer,
        schedule=recipe.schedule,
        training=recipe.training,
        teacher_sites=tuple({link.teacher.site: link.teacher for link in links}.values()),
        student_sites=tuple({link.student.site: link.student for link in links}.values()),
        choices=tuple(choices),
    )


def mapper_of(recipe: Recipe) -> Mapper:
    """The mapper that a recipe names."""
    return recipe.mapping.build(limbeck.mapping)


def choose_outputs(recipe: Recipe, facts: Facts) -> tuple[tuple[OutputTerm, ...], Choice]:
    """The output losses, and why.

    ``auto`` is the cautious default of findings.md: temperature 4 and half the weight below 2,000 labels, else plain
    labels, as soft labels helped with 500 to 1,000 labels and not with 4,000.
    """
    if recipe.outputs != "auto":
        return recipe.outputs, _outputs_choice(recipe.outputs, recipe.reason("outputs"))
    means = facts.task.means
    labels = () if means.labels is None else (OutputTerm(loss=Part(kind=means.labels)),)
    softened = means.teacher in {"SoftLabels", "BinarySoftLabels"}
    soft = () if means.teacher is None else (OutputTerm(loss=_part(means.teacher, softened)),)
    found = f"student's logits {facts.student_shape}, teacher's {facts.teacher_shape}"
    if not soft:
        return (), _outputs_choice((), f"{facts.task.kind.value} ({facts.task.reason}): features alone")
    if not labels and not facts.same_outputs:
        return (), _outputs_choice((), f"no labels and no common answer ({found}): features alone")
    if not labels:
        return soft, _outputs_choice(soft, "no labels, but both models answer in the same shape")
    if not facts.same_outputs:
        return labels, _outputs_choice(labels, f"the models answer in different classes ({found})")
    if not softened:
        return labels, _outputs_choice(labels, "numbers are learnt from the labels; the teacher's error is not added")
    if facts.samples is not None and facts.samples < FEW_LABELS:
        half = tuple(term.model_copy(update={"share": 0.5}) for term in (*labels, *soft))
        return half, _outputs_choice(half, f"{facts.samples} labels, fewer than {FEW_LABELS}: soft labels help")
    amount = "a stream" if facts.samples is None else f"{facts.samples} labels"
    return labels, _outputs_choice(labels, f"{amount}: with {FEW_LABELS} or more plain labels do as well")


def _part(kind: str, softened: bool) -> Part:
    return Part(kind=kind, temperature=4.0) if softened else Part(kind=kind)


def _outputs_choice(outputs: tuple[OutputTerm, ...], reason: str) -> Choice:
    return Choice("output loss", outputs_phrase(outputs), reason)


def outputs_phrase(outputs: Sequence[OutputTerm]) -> str:
    """Output losses in one line, as the choice of them shows them."""
    return " + ".join(f"{term.share:g} x {term.loss}" for term in outputs) or "none"


def planned_term(recipe: Recipe, link: Link, index: int, links: int) -> TermPlan:
    """What the recipe's feature loss number ``index`` becomes on one of ``links`` links."""
    feature = recipe.features[index]
    fused = fitting.fuses(recipe.association)
    fitted = fitting.choose(link, feature.loss, fused)
    targets = fitted.targets if feature.targets == "auto" else feature.targets
    projector = fitted.projector
    if feature.targets != "auto":
        projector = fitting.choose_projector(link, feature.loss, targets, fused)
    if feature.projector != "auto":
        projector = None if feature.projector == "none" else feature.projector
    fitting.check(link, feature.loss, projector, targets, fused)
    return TermPlan(
        student=link.student.site,
        teacher=link.teacher.site,
        loss=feature.loss,
        projector=projector,
        targets=targets,
        share=feature.share / links if recipe.average_links else feature.share,
        reason=f"depth {link.student.depth:.2f} <- {link.teacher.depth:.2f}; {fitted.reason}",
    )


def _sites_choice(side: str, anatomy: Anatomy) -> Choice:
    reason = f"found by {anatomy.method}" + "".join(f"; {note}" for note in anatomy.notes)
    stages = len({spec.stage for spec in anatomy.trunk})
    head = anatomy.head or "none"
    return Choice(f"{side} sites", len(anatomy.specs), reason, {"stages": stages, "head": head})


def _mapping_choice(recipe: Recipe, links: LayerMap, student: Anatomy, teacher: Anatomy) -> Choice:
    shown = [f"{link.student.site} <- {link.teacher.site}" for link in links]
    mapper = mapper_of(recipe)
    among = f"{mapper} among {len(student.specs)} student and {len(teacher.specs)} teacher sites"
    return Choice("mapping", shown, f"{among}: {recipe.reason('mapping')}")


def _recipe_choices(recipe: Recipe, linked: bool) -> list[Choice]:
    """What the recipe decides for every pair: balance, schedule and the parts of the training that are never given."""
    training = recipe.training
    choices = [
        Choice("balance", str(recipe.balancer), recipe.reason("balancer")),
        Choice("schedule", str(recipe.schedule), recipe.reason("schedule")),
    ]
    reason = "its defaults; projectors, biases and norms are not decayed; the rate first rises"
    rate = "found before training by short runs over a wide grid" if training.lr == "auto" else "given"
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
