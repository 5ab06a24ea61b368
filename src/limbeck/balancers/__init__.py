"""Balancers: many losses in, one loss and their weights out."""

from limbeck.balancers.family import Balancer
from limbeck.balancers.fixed import Fixed
from limbeck.balancers.tap_norm import TapNorm

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "Fixed",
    "TapNorm",
    "Balancer",
]
