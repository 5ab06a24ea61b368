"""Projectors: a student's feature, made comparable with its target; thrown away after training."""

from limbeck.projectors.conv import Conv
from limbeck.projectors.conv_bottleneck import ConvBottleneck
from limbeck.projectors.cross_attention import CrossAttention
from limbeck.projectors.ensemble import Ensemble
from limbeck.projectors.family import Projector
from limbeck.projectors.linear import Linear
from limbeck.projectors.linear_batch_norm import LinearBatchNorm
from limbeck.projectors.mlp import MLP
from limbeck.projectors.orthogonal import Orthogonal
from limbeck.projectors.position_linear import PositionLinear
from limbeck.projectors.resample import Resample

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "Conv",
    "ConvBottleneck",
    "CrossAttention",
    "Ensemble",
    "Linear",
    "LinearBatchNorm",
    "MLP",
    "Orthogonal",
    "PositionLinear",
    "Resample",
    "Projector",
]
