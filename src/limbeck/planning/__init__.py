"""Plans: which sites, links and terms, with a reason for each. Not named ``plan``: that is the function."""

from limbeck.planning.build import build, fit_targets
from limbeck.planning.check import check_plan, diff_plans
from limbeck.planning.pair import Pair
from limbeck.planning.plan import Costs, Plan
from limbeck.planning.teacher_check import check_teacher
from limbeck.planning.term_plan import TermPlan

__all__ = ["Costs", "Pair", "Plan", "TermPlan", "build", "check_plan", "check_teacher", "diff_plans", "fit_targets"]
