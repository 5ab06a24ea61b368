"""Mappers: which student site learns from which teacher site."""

from limbeck.mapping.all_pairs import AllPairs
from limbeck.mapping.best_match import BestMatch
from limbeck.mapping.explicit import Explicit
from limbeck.mapping.family import Mapper
from limbeck.mapping.head_input import HeadInput
from limbeck.mapping.last_stages import LastStages
from limbeck.mapping.random_order import RandomOrder
from limbeck.mapping.reversed import Reversed
from limbeck.mapping.same_depth import SameDepth
from limbeck.mapping.same_grid import SameGrid

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "AllPairs",
    "BestMatch",
    "Explicit",
    "HeadInput",
    "LastStages",
    "RandomOrder",
    "Reversed",
    "SameDepth",
    "SameGrid",
    "Mapper",
]
