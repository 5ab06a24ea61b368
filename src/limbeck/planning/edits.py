"""Which parts of a plan are no longer what limbeck chose."""

from __future__ import annotations

from limbeck.choice import Choice
from limbeck.links import Link
from limbeck.planning.choosing_outputs import outputs_phrase
from limbeck.planning.label_positions import NEXT, POSITIONS, SAME
from limbeck.planning.plan import Plan
from limbeck.planning.planner import MEMORY, optimizer_phrase, planned_term
from limbeck.planning.term_plan import TermPlan

EDITED = "edited by hand"


def mark_edits(plan: Plan) -> Plan:
    """The plan, with 'edited by hand' for the reason of everything that is not as it was chosen.

    What the recipe says is compared with the recipe, what was chosen with the choice, and a term with what the recipe
    puts on its link.
    """
    recipe = plan.recipe
    found = {choice.name: choice.value for choice in plan.choices}
    links = list(dict.fromkeys(f"{term.student} <- {term.teacher}" for term in plan.terms))
    positions = NEXT if plan.next_token else SAME
    outputs, optimizer = outputs_phrase(plan.outputs), optimizer_phrase(plan.training)
    # Parts are compared as such where the recipe has them: their options may be written in another order.
    edited = {
        "mapping": (links, links != found.get("mapping")),
        "output loss": (outputs, plan.outputs != recipe.outputs and outputs != found.get("output loss")),
        "balance": (str(plan.balancer), plan.balancer != recipe.balancer),
        "schedule": (str(plan.schedule), plan.schedule != recipe.schedule),
        "optimizer": (optimizer, optimizer != found.get("optimizer")),
        POSITIONS: (positions, positions != found.get(POSITIONS)),
    }
    choices = tuple(
        Choice(choice.name, edited[choice.name][0], EDITED) if edited.get(choice.name, (None, False))[1] else choice
        for choice in plan.choices
    )
    mapped = found.get("mapping", ())
    memory = found.get(MEMORY)
    terms = tuple(
        term if _as_chosen(plan, term, mapped, memory) else term.model_copy(update={"reason": EDITED})
        for term in plan.terms
    )
    return plan.model_copy(update={"terms": terms, "choices": choices})


def _as_chosen(plan: Plan, term: TermPlan, mapped: list[str] | tuple[str, ...], memory: int | None) -> bool:
    student, teacher = plan.spec("student", term.student), plan.spec("teacher", term.teacher)
    if student is None or teacher is None or f"{term.student} <- {term.teacher}" not in mapped:
        return False
    link = Link(student, teacher)
    losses = range(len(plan.recipe.features))
    chosen = (planned_term(plan.recipe, link, index, len(mapped), memory) for index in losses)
    return any(each.model_copy(update={"reason": term.reason}) == term for each in chosen)
