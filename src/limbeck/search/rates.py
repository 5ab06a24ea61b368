"""The learning rate: a rule says it, and a higher one takes part in the race."""

from __future__ import annotations

from collections.abc import Sequence

from accelerate import Accelerator

from limbeck.batch import Batch
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.planning.plan import Plan
from limbeck.recipe.settings import Settings
from limbeck.search.first_step import first_step_rate
from limbeck.search.width_rate import has_learnt, width_rate
from limbeck.teachers.feature_source import FeatureSource

# AdamW's own, where the rule says nothing.
FALLBACK = 1e-3
# They move every weight by about the rate; steps of others are as long as the gradient, or of a length of their own.
_ADAPTIVE = frozenset({"Adam", "AdamW", "NAdam", "Adamax", "RMSprop"})
# What takes part beside the rate of the rule, which asks too little of recurrent students.
_HIGHER, _FACTOR = "3x-rate", 3.0
OWN_RATES = Choice(
    "learning rate",
    "the optimizer's own",
    "your optimizer comes with its rates, which warm-up and decay multiply; give lr= for another one",
)


def suited(
    distiller: Distiller,
    source: FeatureSource | None,
    batches: Sequence[Batch],
    *,
    settings: Settings,
    accelerator: Accelerator,
) -> Choice:
    """The rate that suits a student, and why.

    An untrained student says it by the widths of its layers (:func:`~limbeck.search.width_rate`). Where weights were
    learnt before, what matters is how far they can move before the loss rises, which the first step shows
    (:func:`~limbeck.search.first_step_rate`). So it does for optimizers that are not of Adam's kind, such as SGD.

    Args:
        distiller: holds the student; it is not touched.
        source: gives the teacher's side; ``None`` if no loss needs it.
        batches: the first of the training data.
        settings: of the training: optimizer, weight decay and seed.
        accelerator: of the training.
    """
    learnt, adaptive = has_learnt(distiller.student), settings.optimizer in _ADAPTIVE
    if learnt or not adaptive:
        found = first_step_rate(distiller, source, batches, settings=settings, accelerator=accelerator)
        why = "the student's weights are trained" if learnt else f"{settings.optimizer} has steps of its own length"
        reason = f"where the first step lowers the loss most, as {why}"
    else:
        found = width_rate(distiller.student)
        reason = "from the widths of its layers and the size of their weights, as the student is untrained"
    if found is None:
        found, reason = FALLBACK, "the usual one, as no layer and no first step says another"
    return Choice("learning rate", found, reason)


def ruled(
    plan: Plan,
    distiller: Distiller,
    source: FeatureSource | None,
    batches: Sequence[Batch],
    accelerator: Accelerator,
) -> Plan:
    """A plan without a rate, with the one that suits its student (:func:`suited`)."""
    found = suited(distiller, source, batches, settings=plan.training, accelerator=accelerator)
    return plan.with_training(lr=found.value).with_choices(found)


def higher(plan: Plan) -> Plan:
    """The plan at three times its rate, under a name of its own."""
    rate = float(f"{_FACTOR * float(plan.training.lr):.2g}")
    recipe = plan.recipe.model_copy(update={"name": f"{plan.recipe.name}-{_HIGHER}"})
    choice = Choice("learning rate", rate, f"{_FACTOR:g} times {plan.training.lr}, which the rule says")
    return plan.model_copy(update={"recipe": recipe}).with_training(lr=rate).with_choices(choice)


def same_at_other_rates(plans: Sequence[Plan], plan: Plan) -> list[Plan]:
    """Those of the plans that differ from this one in their rate alone."""
    return [each for each in plans if (each.terms, each.outputs) == (plan.terms, plan.outputs)]
