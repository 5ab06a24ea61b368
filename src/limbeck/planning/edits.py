"""Which parts of a plan are no longer what limbeck chose."""

from __future__ import annotations

from limbeck.choice import Choice
from limbeck.links import Link
from limbeck.planning.choosing_outputs import outputs_phrase
from limbeck.planning.label_positions import NEXT, POSITIONS, SAME
from limbeck.planning.plan import Plan
from limbeck.planning.planner import MEMORY, mapping_name, optimizer_phrase, planned_term
from limbeck.planning.term_plan import TermPlan
from limbeck.teachers.committee import member_of

EDITED = "edited by hand"


def mark_edits(plan: Plan) -> Plan:
    """The plan, with 'edited by hand' for the reason of everything that is not as it was chosen.

    What the recipe says is compared with the recipe, what was chosen with the choice, and a term with what the recipe
    puts on its link.
    """
    recipe = plan.recipe
    found = {choice.name: choice.value for choice in plan.choices}
    links: dict[str, list[str]] = {
        mapping_name(name): [] for name in (plan.committee.weights if plan.committee else [""])
    }
    for term in plan.terms:
        linked, known = _link(term), links.setdefault(_mapping(plan, term), [])
        known += [linked] if linked not in known else []
    positions = NEXT if plan.next_token else SAME
    outputs, optimizer = outputs_phrase(plan.outputs), optimizer_phrase(plan.training)
    # Parts are compared as such where the recipe has them: their options may be written in another order.
    edited = {
        **{name: (each, each != found.get(name)) for name, each in links.items()},
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
    memory = found.get(MEMORY)
    terms = tuple(
        term
        if _as_chosen(plan, term, found.get(_mapping(plan, term), ()), memory)
        else term.model_copy(update={"reason": EDITED})
        for term in plan.terms
    )
    return plan.model_copy(update={"terms": terms, "choices": choices})


def _as_chosen(plan: Plan, term: TermPlan, mapped: list[str] | tuple[str, ...], memory: int | None) -> bool:
    student, teacher = plan.spec("student", term.student), plan.spec("teacher", term.teacher)
    if student is None or teacher is None or _link(term) not in mapped:
        return False
    link = Link(student, teacher)
    losses = range(len(plan.recipe.features))
    chosen = (planned_term(plan.recipe, link, index, len(mapped), memory, plan.committee) for index in losses)
    return any(each.model_copy(update={"reason": term.reason}) == term for each in chosen)


def _link(term: TermPlan) -> str:
    return f"{term.student} <- {term.teacher}"


def _mapping(plan: Plan, term: TermPlan) -> str:
    """The choice that a term's link stands in."""
    return mapping_name("" if plan.committee is None else member_of(term.teacher))
