"""Turns a plan into a distiller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

import limbeck.balancers
import limbeck.outputs
import limbeck.schedules
from limbeck.balancers.family import FEATURE, OUTPUT, Balancer
from limbeck.batch import Batch, ReadOutput, read_logits
from limbeck.context import NO_HEADS, Heads
from limbeck.distiller.distiller import Distiller
from limbeck.distiller.dropping import Dropping
from limbeck.distiller.term import Term
from limbeck.distiller.term_group import TermGroup
from limbeck.errors import PlanMismatch, RecipeError
from limbeck.links import FeatureSpec, Link
from limbeck.outputs.family import OutputLoss
from limbeck.planning import fitting
from limbeck.planning.plan import Plan
from limbeck.planning.ridge_start import start_projectors
from limbeck.planning.term_plan import TermPlan
from limbeck.progress import ProgressBar
from limbeck.teachers.committee import member_of
from limbeck.teachers.feature_source import FeatureSource

TaskLoss = Callable[..., Any]


def build(
    plan: Plan,
    student: nn.Module,
    *,
    total_steps: int,
    read_output: ReadOutput = read_logits,
    task_loss: TaskLoss | None = None,
    heads: Heads = NO_HEADS,
) -> Distiller:
    """A distiller for the plan, with fresh projectors and targets that still have to be fitted.

    Args:
        plan: checked against the models.
        student: trained in place by whoever uses the distiller.
        total_steps: length of the training, for the schedule.
        read_output: takes the logits from what a model returned.
        task_loss: the user's own loss of logits and targets, for ``{kind: Given}``.
        heads: the last linear layers of both models, for losses that read features through them.

    Raises:
        PlanMismatch: if a term cannot be built, or there is nothing to learn from.
        RecipeError: if a component or an option is not known.
    """
    if not plan.terms and not plan.outputs:
        raise PlanMismatch(
            "A plan must have something to learn from. Found neither terms (features) nor outputs. Add a term or an "
            "output loss, such as outputs: [{loss: {kind: CrossEntropy}}]."
        )
    terms = build_terms(plan, heads)
    outputs = [_output(term.loss.kind, task_loss) or term.loss.build(limbeck.outputs) for term in plan.outputs]
    groups = (FEATURE,) * len(terms) + (OUTPUT,) * len(outputs)
    shares = [share for _, share in terms] + [term.share for term in plan.outputs]
    balancer: Balancer = plan.balancer.build(limbeck.balancers, groups, shares=shares)
    _check_signs(balancer, [term for term, _ in terms], outputs)
    schedule = None if plan.schedule.kind == "Constant" else plan.schedule.build(limbeck.schedules)
    distiller = Distiller(
        student,
        terms=[term for term, _ in terms],
        outputs=outputs,
        balancer=balancer,
        schedule=schedule,
        total_steps=total_steps,
        read_output=read_output,
        next_token=plan.next_token,
        dropping=_dropping(plan),
    )
    # What is added stands where the student does, so that targets can be fitted before the training moves everything.
    device = next((each.device for each in student.parameters()), None)
    for part in (distiller.terms, distiller.outputs, distiller.balancer):
        part.to(device)
    return distiller


def build_terms(plan: Plan, heads: Heads) -> list[tuple[Term | TermGroup, float]]:
    """The feature terms with their shares; those of one loss as a group where the plan has an association."""
    if plan.association is None:
        return [(build_term(plan, term, heads), term.share) for term in plan.terms]
    grouped: dict[tuple[str, str], list[TermPlan]] = {}
    for term in plan.terms:
        member = "" if plan.committee is None else member_of(term.teacher)
        grouped.setdefault((term.comparison, member), []).append(term)
    found: list[tuple[Term | TermGroup, float]] = []
    for planned in grouped.values():
        terms = [build_term(plan, term, heads) for term in planned]
        links = [link_of(plan, term) for term in planned]
        if fitting.fuses(plan.association):
            links = [fitting.described(link, term.targets)[0] for link, term in zip(links, planned, strict=True)]
        association = plan.association.build(fitting.ASSOCIATIONS, links, method="for_links")
        found.append((TermGroup(terms, association), planned[0].share))
    return found


def build_term(plan: Plan, term: TermPlan, heads: Heads = NO_HEADS) -> Term:
    """One feature term."""
    link, fused = link_of(plan, term), fitting.fuses(plan.association)
    heads = heads.of_member(member_of(term.teacher))
    fitting.check(link, term.loss, term.projector, term.targets, fused, term.both)
    return Term(
        link,
        loss=fitting.build_loss(link, term.loss, term.projector, term.targets, heads, fused, term.both),
        projector=fitting.build_projector(link, term.projector, term.targets),
        targets=fitting.build_targets(link, term.targets, heads),
        both=fitting.build_both(fitting.joined(link, term.projector, term.targets, fused), term.both)[0],
    )


def link_of(plan: Plan, term: TermPlan) -> Link:
    """The two sites of a term, as the plan describes them."""
    return Link(_spec(plan, "student", term.student), _spec(plan, "teacher", term.teacher))


@torch.no_grad()
def fit_targets(
    distiller: Distiller, source: FeatureSource | None, batches: Sequence[Batch], *, show: bool = False
) -> None:
    """Let every target take its statistics from the teacher's features on a few batches, and projectors start there.

    The teacher runs once on each batch for all terms together, and once more where a target builds on the statistics of
    one before it; both models once more where a projector starts at a ridge regression. No more than one batch of
    features is held.

    Args:
        distiller: whose targets to fit.
        source: the teacher; without one nothing is done.
        batches: to take the statistics from.
        show: whether to show a progress bar on a terminal.

    Raises:
        DataError: if a feature is not finite.
    """
    if source is None:
        return
    _take_statistics(distiller, source, batches, show)
    start_projectors(distiller, source, batches, show=show)


def _take_statistics(distiller: Distiller, source: FeatureSource, batches: Sequence[Batch], show: bool) -> None:
    chains = [[(term, *each) for each in term.fitted_targets] for term in distiller.every_term]
    passes = max((len(chain) for chain in chains), default=0)
    if not passes:
        return
    with ProgressBar("Reading the teacher", passes * len(batches), show=show) as bar:
        for number in range(passes):
            fitting_now = [chain[number] for chain in chains if number < len(chain)]
            gathered = [target.statistics() for _, _, target in fitting_now]
            for batch in batches:
                features = source(batch).features
                for (term, index, _), statistics in zip(fitting_now, gathered, strict=True):
                    statistics.add(term.before(index, features[term.link.teacher.site]))
                bar.advance()
            for (_, _, target), statistics in zip(fitting_now, gathered, strict=True):
                target.settle(statistics)


def _spec(plan: Plan, side: Any, site: str) -> FeatureSpec:
    spec = plan.spec(side, site)
    if spec is None:
        raise PlanMismatch(
            f"The plan links {side} '{site}' but does not describe it. Let limbeck check the plan against the models "
            "first (limbeck.distill does), which adds what is missing."
        )
    return spec


def _dropping(plan: Plan) -> Dropping | None:
    if plan.committee is None or not plan.committee.drop:
        return None
    return Dropping(tuple(plan.committee.weights), plan.committee.drop, plan.training.seed)


def _output(kind: str, task_loss: TaskLoss | None) -> OutputLoss | None:
    if kind != "Given":
        return None
    if task_loss is None:
        raise RecipeError("The plan uses your own task loss ({kind: Given}). Found none. Give task_loss=function.")
    return limbeck.outputs.Given(task_loss)


def _check_signs(balancer: Balancer, terms: Sequence[Term | TermGroup], outputs: Sequence[OutputLoss]) -> None:
    if not balancer.needs_non_negative:
        return
    negative = [each for each in (*(term.loss for term in terms), *outputs) if not each.non_negative]
    if negative:
        raise PlanMismatch(
            f"{type(balancer).__name__} takes logarithms or ratios of the losses. {negative[0]} can be negative. Use "
            "balancer: {kind: Fixed} or {kind: TapNorm}, or another loss."
        )
