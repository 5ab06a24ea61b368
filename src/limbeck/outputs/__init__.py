"""Output losses: the student's answer against labels or the teacher's answer."""

from limbeck.outputs.binary_cross_entropy import BinaryCrossEntropy
from limbeck.outputs.binary_soft_labels import BinarySoftLabels
from limbeck.outputs.cross_entropy import CrossEntropy
from limbeck.outputs.dist import DIST
from limbeck.outputs.dkd import DKD
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.forward_kl import ForwardKL
from limbeck.outputs.given import Given
from limbeck.outputs.jensen_shannon import JensenShannon
from limbeck.outputs.logit_mse import LogitMSE
from limbeck.outputs.mlld import MLLD
from limbeck.outputs.nkd import NKD
from limbeck.outputs.ofa import OFA
from limbeck.outputs.own_loss import OwnLoss
from limbeck.outputs.reverse_kl import ReverseKL
from limbeck.outputs.skewed_forward_kl import SkewedForwardKL
from limbeck.outputs.skewed_reverse_kl import SkewedReverseKL
from limbeck.outputs.soft_labels import SoftLabels
from limbeck.outputs.squared_error import SquaredError
from limbeck.outputs.standardised_logits import StandardisedLogits
from limbeck.outputs.standardised_mse import StandardisedMSE
from limbeck.outputs.top_k_soft_labels import TopKSoftLabels
from limbeck.outputs.total_variation import TotalVariation
from limbeck.outputs.universal_logit import UniversalLogit

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "BinaryCrossEntropy",
    "BinarySoftLabels",
    "CrossEntropy",
    "DIST",
    "DKD",
    "ForwardKL",
    "Given",
    "JensenShannon",
    "LogitMSE",
    "MLLD",
    "NKD",
    "OFA",
    "OwnLoss",
    "ReverseKL",
    "SkewedForwardKL",
    "SkewedReverseKL",
    "SoftLabels",
    "SquaredError",
    "StandardisedLogits",
    "StandardisedMSE",
    "TopKSoftLabels",
    "TotalVariation",
    "UniversalLogit",
    "OutputLoss",
]
