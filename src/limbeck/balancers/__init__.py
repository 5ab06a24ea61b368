"""Balancers: many losses in, one loss and their weights out."""

from limbeck.balancers.conflict_gate import ConflictGate
from limbeck.balancers.conflict_resolver import ConflictResolver
from limbeck.balancers.dwa import DWA
from limbeck.balancers.family import Balancer
from limbeck.balancers.fixed import Fixed
from limbeck.balancers.grad_norm import GradNorm
from limbeck.balancers.log_sum import LogSum
from limbeck.balancers.magnitude_ema import MagnitudeEMA
from limbeck.balancers.rlw import RLW
from limbeck.balancers.tap_norm import TapNorm
from limbeck.balancers.uncertainty import Uncertainty

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "ConflictGate",
    "ConflictResolver",
    "DWA",
    "Fixed",
    "GradNorm",
    "LogSum",
    "MagnitudeEMA",
    "RLW",
    "TapNorm",
    "Uncertainty",
    "Balancer",
]
