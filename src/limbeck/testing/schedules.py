"""Checks of schedules."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields

from limbeck.schedules.family import Schedule
from limbeck.testing.components import rebuilt, require_example, require_formula_and_source, require_same_repr
from limbeck.testing.running import require, run


def check_schedule(schedule: Schedule, /) -> None:
    """Check a schedule against everything that its family promises.

    Raises:
        ContractError: naming the first check that finds a promise unkept.

    Example:
        >>> from limbeck.schedules import WarmUp
        >>> check_schedule(WarmUp(share=0.1))
    """
    run(SCHEDULE_CHECKS, schedule)


def check_strengths(schedule: Schedule, /) -> None:
    """Finite, from 0 to 1 if not more, and never both 0: a step must train something."""
    for moment in range(1, 1001):
        strength = schedule(moment / 1000)
        finite = all(math.isfinite(each) and each >= 0 for each in strength)
        require(finite, f"must give strengths of at least 0. Found {strength} at {moment / 1000}")
        require(sum(strength) > 0, f"must train something at every moment. Found {strength} at {moment / 1000}")


def check_ends(schedule: Schedule, /) -> None:
    """It is defined at the first step, after the last, and a rounding error beyond."""
    for moment in (0.0, 1.0, -1e-9, 1 + 1e-9):
        strength = schedule(moment)
        require(all(0 <= each < math.inf for each in strength), f"must be defined at {moment}. Found {strength}")


def check_outputs_from(schedule: Schedule, /) -> None:
    """The outputs act after the moment that it declares, which is before the end, and not sooner."""
    begin = schedule.outputs_from
    require(0 <= begin < 1, f"must let the outputs act before the end. Found outputs_from={begin}")
    for moment in (step / 1000 for step in range(1001) if step / 1000 != begin):
        acting = schedule(moment).output > 0
        require(acting == (moment > begin), f"must act on outputs from {begin} on. Found {acting} at {moment}")


def check_no_state(schedule: Schedule, /) -> None:
    """The same moment gives the same, in whatever order; options cannot be changed."""
    first = [schedule(moment / 10) for moment in range(11)]
    second = [schedule(moment / 10) for moment in reversed(range(11))][::-1]
    require(first == second, "must have no state. Found other strengths in another order")
    require(pickle.loads(pickle.dumps(schedule)) == schedule, "must equal its pickle. Found a difference")
    require(hash(schedule) == hash(rebuilt(schedule)), "must equal what its repr rebuilds. Found a difference")
    for field in fields(schedule):
        try:
            setattr(schedule, field.name, None)
        except FrozenInstanceError:
            continue
        require(False, f"must be frozen. Found '{field.name}' changed")


def check_schedule_documented(schedule: Schedule, /) -> None:
    """Formula and example stand in the docstring; the ``repr`` rebuilds it."""
    require_same_repr(schedule)
    require_example(schedule)
    require_formula_and_source(schedule)


SCHEDULE_CHECKS: tuple[Callable[[Schedule], None], ...] = (
    check_strengths,
    check_ends,
    check_outputs_from,
    check_no_state,
    check_schedule_documented,
)
"""All checks of a schedule, each of which can be called with it; for one test per check."""
