"""The learning rate: a rule says it, and a higher one takes part in the race."""

from __future__ import annotations

from collections.abc import Sequence

from accelerate import Accelerator

from limbeck.batch import Batch
from limbeck.choice import Choice
from limbeck.distiller.distiller import Distiller
from limbeck.planning.plan import Plan
from limbeck.search.first_step import first_step_rate
from limbeck.teachers.feature_source import FeatureSource

# AdamW's own, where the rule says nothing.
FALLBACK = 1e-3
# What takes part beside the rate of the rule, which asks too little of recurrent students and transformers.
_HIGHER, _FACTOR = "3x-rate", 3.0
OWN_RATES = Choice(
    "learning rate",
    "the optimizer's own",
    "your optimizer comes with its rates, which warm-up and decay multiply; give lr= for another one",
)


def ruled(
    plan: Plan,
    distiller: Distiller,
    source: FeatureSource | None,
    batches: Sequence[Batch],
    accelerator: Accelerator,
) -> Plan:
    """The plan with the rate that its own loss asks for.

    The rate decides more than the recipe, and the best one for a recipe is often not the student's own (our prototype:
    47 of 134 cells share it); so each has its rate read off the first step of its own training.

    Args:
        plan: without a rate.
        distiller: built from it; it is not touched.
        source: gives the teacher's side.
        batches: the first of the training data.
        accelerator: of the training.
    """
    found = first_step_rate(distiller, source, batches, settings=plan.training, accelerator=accelerator)
    reason = "where the optimizer's first step lowers the loss most"
    if found is None:
        found, reason = FALLBACK, "the usual one, as no first step lowers the loss"
    return plan.with_training(lr=found).with_choices(Choice("learning rate", found, reason))


def higher(plan: Plan) -> Plan:
    """The plan at three times its rate, under a name of its own."""
    rate = float(f"{_FACTOR * float(plan.training.lr):.2g}")
    recipe = plan.recipe.model_copy(update={"name": f"{plan.recipe.name}-{_HIGHER}"})
    choice = Choice("learning rate", rate, f"{_FACTOR:g} times {plan.training.lr}, which the rule says")
    return plan.model_copy(update={"recipe": recipe}).with_training(lr=rate).with_choices(choice)


def same_at_other_rates(plans: Sequence[Plan], plan: Plan) -> list[Plan]:
    """Those of the plans that differ from this one in their rate alone."""
    return [each for each in plans if (each.terms, each.outputs) == (plan.terms, plan.outputs)]
