"""Which recipe, and at which learning rate."""

from limbeck.search.first_step import first_step_rate

__all__ = ["first_step_rate"]
