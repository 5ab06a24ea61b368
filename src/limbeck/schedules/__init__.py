"""Schedules: how strongly features and outputs act as training goes on."""

from limbeck.schedules.constant import Constant
from limbeck.schedules.cosine_decay import CosineDecay
from limbeck.schedules.cross_fade import CrossFade
from limbeck.schedules.family import Schedule
from limbeck.schedules.features_first import FeaturesFirst
from limbeck.schedules.linear_decay import LinearDecay
from limbeck.schedules.stop_early import StopEarly
from limbeck.schedules.warm_up import WarmUp

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "Constant",
    "CosineDecay",
    "CrossFade",
    "FeaturesFirst",
    "LinearDecay",
    "StopEarly",
    "WarmUp",
    "Schedule",
]
