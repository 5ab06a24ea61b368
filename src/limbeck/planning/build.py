"""Turns a plan into a distiller."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import nn

import limbeck.balancers
import limbeck.outputs
import limbeck.schedules
from limbeck.balancers.family import FEATURE, OUTPUT, Balancer
from limbeck.batch import Batch, ReadOutput, read_logits
from limbeck.distiller.distiller import Distiller
from limbeck.distiller.term import Term
from limbeck.errors import PlanMismatch, RecipeError
from limbeck.links import FeatureSpec, Link
from limbeck.outputs.family import OutputLoss
from limbeck.planning import fitting
from limbeck.planning.plan import Plan
from limbeck.planning.term_plan import TermPlan
from limbeck.teachers.feature_source import FeatureSource

TaskLoss = Callable[..., Any]


def build(
    plan: Plan,
    student: nn.Module,
    *,
    total_steps: int,
    read_output: ReadOutput = read_logits,
    task_loss: TaskLoss | None = None,
) -> Distiller:
    """A distiller for the plan, with fresh projectors and targets that still have to be fitted.

    Args:
        plan: checked against the models.
        student: trained in place by whoever uses the distiller.
        total_steps: length of the training, for the schedule.
        read_output: takes the logits from what a model returned.
        task_loss: the user's own loss of logits and targets, for ``{kind: Given}``.

    Raises:
        PlanMismatch: if a term cannot be built.
        RecipeError: if a component or an option is not known.
    """
    terms = [build_term(plan, term) for term in plan.terms]
    outputs = [_output(term.loss.kind, task_loss) or term.loss.build(limbeck.outputs) for term in plan.outputs]
    groups = (FEATURE,) * len(terms) + (OUTPUT,) * len(outputs)
    shares = [term.share for term in plan.terms] + [term.share for term in plan.outputs]
    balancer: Balancer = plan.balancer.build(limbeck.balancers, groups, shares=shares)
    _check_signs(balancer, terms, outputs)
    schedule = None if plan.schedule.kind == "Constant" else plan.schedule.build(limbeck.schedules)
    return Distiller(
        student,
        terms=terms,
        outputs=outputs,
        balancer=balancer,
        schedule=schedule,
        total_steps=total_steps,
        read_output=read_output,
    )


def build_term(plan: Plan, term: TermPlan) -> Term:
    """One feature term."""
    link = Link(_spec(plan, "student", term.student), _spec(plan, "teacher", term.teacher))
    fitting.check(link, term.loss, term.projector, term.targets)
    return Term(
        link,
        loss=term.loss.build(fitting.LOSSES),
        projector=fitting.build_projector(link, term.projector, term.targets),
        targets=fitting.build_targets(link, term.targets),
    )


def fit_targets(distiller: Distiller, source: FeatureSource | None, batches: Iterable[Batch]) -> None:
    """Let every target take its statistics from the teacher's features on a few batches.

    Raises:
        DataError: if a feature is not finite.
    """
    terms = [term for term in distiller.terms if isinstance(term, Term)]
    if source is None or not terms:
        return
    captured = [source(batch).features for batch in batches]
    for term in terms:
        term.fit([features[term.link.teacher.site] for features in captured])


def _spec(plan: Plan, side: Any, site: str) -> FeatureSpec:
    spec = plan.spec(side, site)
    if spec is None:
        raise PlanMismatch(
            f"The plan links {side} '{site}' but does not describe it. Let limbeck check the plan against the models "
            "first (limbeck.distill does), which adds what is missing."
        )
    return spec


def _output(kind: str, task_loss: TaskLoss | None) -> OutputLoss | None:
    if kind != "Given":
        return None
    if task_loss is None:
        raise RecipeError("The plan uses your own task loss ({kind: Given}). Found none. Give task_loss=function.")
    return limbeck.outputs.Given(task_loss)


def _check_signs(balancer: Balancer, terms: Sequence[Term], outputs: Sequence[OutputLoss]) -> None:
    if not balancer.needs_non_negative:
        return
    negative = [each for each in (*(term.loss for term in terms), *outputs) if not each.non_negative]
    if negative:
        raise PlanMismatch(
            f"{type(balancer).__name__} takes logarithms or ratios of the losses. {negative[0]} can be negative. Use "
            "balancer: {kind: Fixed} or {kind: TapNorm}, or another loss."
        )
