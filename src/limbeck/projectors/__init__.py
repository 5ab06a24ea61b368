"""Projectors: a student's feature, made comparable with its target; thrown away after training."""

from limbeck.projectors.family import Projector
from limbeck.projectors.linear import Linear
from limbeck.projectors.position_linear import PositionLinear
from limbeck.projectors.resample import Resample

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "Linear",
    "PositionLinear",
    "Resample",
    "Projector",
]
