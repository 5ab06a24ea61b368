"""Searches that a training needs before it starts."""

from limbeck.search.rates import RateSearch

__all__ = ["RateSearch"]
