"""A task loss of the user's own in a plan."""

from __future__ import annotations

from limbeck.choice import Choice
from limbeck.planning.choosing_outputs import outputs_phrase
from limbeck.planning.plan import Plan
from limbeck.planning.task import MEANS
from limbeck.recipe.part import Part
from limbeck.recipe.recipe import OutputTerm


def with_task_loss(plan: Plan) -> Plan:
    """The plan with the user's own task loss in the place of the one that was chosen for the labels."""
    chosen = {each.labels for each in MEANS.values()} - {"OwnLoss"}
    outputs = tuple(
        term.model_copy(update={"loss": Part(kind="Given")}) if term.loss.kind in chosen else term
        for term in plan.outputs
    )
    if not any(term.loss.kind == "Given" for term in outputs):
        outputs = (*outputs, OutputTerm(loss=Part(kind="Given")))
    changed = plan.model_copy(update={"outputs": outputs})
    return changed.with_choices(Choice("output loss", outputs_phrase(outputs), "with the task loss that was given"))
