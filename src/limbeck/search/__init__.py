"""Which recipe, and at which learning rate."""

from limbeck.search.first_step import first_step_rate
from limbeck.search.width_rate import has_learnt, width_rate

__all__ = ["first_step_rate", "has_learnt", "width_rate"]
