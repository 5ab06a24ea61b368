"""Targets: a teacher's feature, made into what the student must predict."""

from limbeck.targets.family import Target
from limbeck.targets.layer_norm import LayerNorm
from limbeck.targets.pool_grid import PoolGrid
from limbeck.targets.pool_vector import PoolVector
from limbeck.targets.standardise import Standardise

__all__ = [
    "LayerNorm",
    "PoolGrid",
    "PoolVector",
    "Standardise",
    "Target",
]
