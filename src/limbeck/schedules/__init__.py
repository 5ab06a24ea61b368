"""Schedules: how strongly features and outputs act as training goes on."""

from limbeck.schedules.constant import Constant
from limbeck.schedules.cosine_decay import CosineDecay
from limbeck.schedules.family import Schedule
from limbeck.schedules.features_first import FeaturesFirst
from limbeck.schedules.warm_up import WarmUp

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "Constant",
    "CosineDecay",
    "FeaturesFirst",
    "WarmUp",
    "Schedule",
]
