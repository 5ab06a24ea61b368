"""Targets: a teacher's feature, made into what the student must predict."""

from limbeck.targets.centre import Centre
from limbeck.targets.channel_weights import ChannelWeights
from limbeck.targets.family import Target
from limbeck.targets.layer_norm import LayerNorm
from limbeck.targets.normalise import Normalise
from limbeck.targets.pca import PCA
from limbeck.targets.phis import PHIS
from limbeck.targets.pool_grid import PoolGrid
from limbeck.targets.pool_vector import PoolVector
from limbeck.targets.standardise import Standardise

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "Centre",
    "ChannelWeights",
    "LayerNorm",
    "Normalise",
    "PCA",
    "PHIS",
    "PoolGrid",
    "PoolVector",
    "Standardise",
    "Target",
]
