"""Does a saved plan still fit the models?"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from limbeck.batch import Batch, ReadOutput
from limbeck.errors import PlanMismatch, SiteError
from limbeck.links import FeatureSpec
from limbeck.planning.attention_sites import check_attention_sites
from limbeck.planning.committees import look_at_side
from limbeck.planning.plan import Plan
from limbeck.planning.stated import Layouts, stated_layouts


def check_plan(
    plan: Plan,
    student: nn.Module,
    teacher: nn.Module,
    batch: Batch,
    *,
    layouts: Layouts | None = None,
    read_output: ReadOutput | None = None,
) -> Plan:
    """Compare every site of the plan with the models as they are.

    Returns:
        The plan, with sites that were written in by hand described too.

    Raises:
        PlanMismatch: if a site is gone or changed its shape; names it, and says how to re-plan.
    """
    check_attention_sites(plan, student, teacher)
    specs: dict[str, tuple[FeatureSpec, ...]] = {}
    axes = stated_layouts(layouts, teacher, student)
    for side, model in (("student", student), ("teacher", teacher)):
        sites = list(dict.fromkeys(getattr(term, side) for term in plan.terms))
        stated = {site: each for site, each in axes[side].items() if site in sites}
        try:
            said = {"sites": sites, "layouts": stated, "output": read_output}
            found = look_at_side(side, model, batch, **said).specs if sites else ()
        except SiteError as error:
            raise PlanMismatch(f"The plan does not fit the {side}: {error} {_OFFER}") from error
        specs[side] = tuple(_compared(plan, side, each) for each in found)
    return plan.model_copy(update={"student_sites": specs["student"], "teacher_sites": specs["teacher"]})


_OFFER = "Edit the plan, or let limbeck plan anew: replan=True (--replan), which prints the difference."


def _compared(plan: Plan, side: str, found: FeatureSpec) -> FeatureSpec:
    saved = plan.spec("student" if side == "student" else "teacher", found.site)
    if saved is None:
        return found
    for fact in ("axes", "channels", "grid", "prefix"):
        was, now = getattr(saved, fact), getattr(found, fact)
        if was != now and not (fact == "grid" and saved.variable):
            raise PlanMismatch(
                f"The plan does not fit the {side}: '{found.site}' had {fact} {was} when the plan was made. Found "
                f"{now}. {_OFFER}"
            )
    return replace(saved, positions=found.positions, own_positions=found.own_positions)


def diff_plans(old: Plan, new: Plan) -> list[str]:
    """What changed from one plan to another, a line each.

    Lines start with ``-`` for what is gone, ``+`` for what is new.
    """
    lines: list[str] = []
    for name in ("student", "teacher", "association", "balancer", "schedule", "next_token"):
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            lines += [f"- {name}: {was}", f"+ {name}: {now}"]
    before, after = _terms(old), _terms(new)
    lines += [f"- {line}" for line in before if line not in after]
    lines += [f"+ {line}" for line in after if line not in before]
    return lines


def _terms(plan: Plan) -> list[str]:
    lines = []
    for term in plan.terms:
        ends = []
        for side, site in (("student", term.student), ("teacher", term.teacher)):
            spec = plan.spec("student" if side == "student" else "teacher", site)
            ends.append(site if spec is None else f"{site} ({spec.channels} channels, grid {spec.grid})")
        through = "" if term.projector is None else f" through {term.projector}"
        onto = "".join(f", {target}" for target in term.targets)
        lines.append(f"link {ends[0]} <- {ends[1]}{onto}: {term.share:g} x {term.comparison}{through}")
    return lines + [f"output {term.share:g} x {term.loss}" for term in plan.outputs]
