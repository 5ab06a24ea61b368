"""Resolves a recipe for one pair of models on one kind of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

import limbeck.mapping
import limbeck.similarity
from limbeck.batch import Batch
from limbeck.capture.anatomy import Anatomy
from limbeck.choice import Choice
from limbeck.errors import PlanMismatch
from limbeck.links import LayerMap, Link
from limbeck.mapping.family import Mapper
from limbeck.planning import fitting
from limbeck.planning.plan import Plan
from limbeck.planning.term_plan import TermPlan
from limbeck.recipe.part import Part
from limbeck.recipe.recipe import OutputTerm, Recipe

FEW_LABELS = 2000


@dataclass(frozen=True)
class Facts:
    """What was learnt of the data and the models before anything is chosen.

    Attributes:
        batch: the first batch.
        samples: in an epoch; ``None`` for a stream.
        labelled: whether batches have labels.
        student_shape: of the student's logits; ``None`` if it has none.
        teacher_shape: likewise.
        takes_labels: whether inputs go by name and the student's forward takes ``labels`` among them.
        notes: decisions made on the way, such as the held-out share.
    """

    batch: Batch
    samples: int | None
    labelled: bool
    student_shape: tuple[int, ...] | None
    teacher_shape: tuple[int, ...] | None
    takes_labels: bool = False
    notes: tuple[Choice, ...] = ()

    @property
    def same_outputs(self) -> bool:
        """Whether both models answer in the same shape."""
        return self.student_shape is not None and self.student_shape == self.teacher_shape

    @property
    def own_loss(self) -> bool:
        """Whether the labels are tokens that the student shifts and judges itself, as language models do."""
        tokens = isinstance(self.batch.targets, Tensor) and self.batch.targets.ndim == 2
        return self.takes_labels and tokens and self.classes

    @property
    def classes(self) -> bool:
        """Whether the labels are class numbers that the student has a logit for."""
        targets = self.batch.targets
        return (
            self.labelled
            and isinstance(targets, Tensor)
            and not targets.is_floating_point()
            and self.student_shape is not None
            and len(self.student_shape) >= 2
            and self.student_shape[-1] > 1
        )


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
    choices = [*facts.notes, _sites_choice("student", student), _sites_choice("teacher", teacher)]
    links: LayerMap = ()
    if recipe.features:
        links = mapper_of(recipe)(student.specs, teacher.specs, scores)
        choices.append(_mapping_choice(recipe, links, student, teacher))
    terms = tuple(_term(recipe, link, index, len(links)) for link in links for index in range(len(recipe.features)))
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
    name = "output loss"
    if recipe.outputs != "auto":
        return recipe.outputs, Choice(name, _phrase(recipe.outputs), recipe.reason("outputs"))
    labels = OutputTerm(loss=Part(kind="OwnLoss" if facts.own_loss else "CrossEntropy"))
    soft = OutputTerm(loss=Part(kind="SoftLabels", temperature=4.0))
    half = tuple(term.model_copy(update={"share": 0.5}) for term in (labels, soft))
    found = f"student's logits {facts.student_shape}, teacher's {facts.teacher_shape}"
    if not facts.labelled:
        if facts.same_outputs:
            return (soft,), Choice(name, _phrase((soft,)), "no labels, but both models answer in the same classes")
        return (), Choice(name, "none", f"no labels and no common answer ({found}): features alone")
    if not facts.classes:
        return (), Choice(name, "none", f"the labels are no classes of the student ({found}): features alone")
    if not facts.same_outputs:
        return (labels,), Choice(name, _phrase((labels,)), f"the models answer in different classes ({found})")
    if facts.samples is not None and facts.samples < FEW_LABELS:
        reason = f"{facts.samples} labels, fewer than {FEW_LABELS}: soft labels help"
        return half, Choice(name, _phrase(half), reason)
    amount = "a stream" if facts.samples is None else f"{facts.samples} labels"
    return (labels,), Choice(name, _phrase((labels,)), f"{amount}: with {FEW_LABELS} or more plain labels do as well")


def _phrase(outputs: Sequence[OutputTerm]) -> str:
    return " + ".join(f"{term.share:g} x {term.loss}" for term in outputs) or "none"


def _term(recipe: Recipe, link: Link, index: int, links: int) -> TermPlan:
    feature = recipe.features[index]
    fitted = fitting.choose(link, feature.loss)
    targets = fitted.targets if feature.targets == "auto" else feature.targets
    projector = fitted.projector
    if feature.targets != "auto":
        projector = fitting.choose_projector(link, feature.loss, targets)
    if feature.projector != "auto":
        projector = None if feature.projector == "none" else feature.projector
    fitting.check(link, feature.loss, projector, targets)
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
    optimizer = (
        f"{training.optimizer}, weight decay {training.weight_decay:g}, gradients clipped at {training.clip}, "
        f"rate decay {training.decay}"
    )
    reason = "its defaults; projectors, biases and norms are not decayed; the rate first rises"
    rate = "found before training by short runs over a wide grid" if training.lr == "auto" else "given"
    return [
        *(choices if linked else []),
        Choice("optimizer", optimizer, reason),
        Choice("learning rate", training.lr, rate),
    ]
