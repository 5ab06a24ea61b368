"""Feature losses: a student's feature against a teacher's, one number out."""

from limbeck.losses.activation_boundaries import ActivationBoundaries
from limbeck.losses.attention_scores import AttentionScores
from limbeck.losses.attention_transfer import AttentionTransfer
from limbeck.losses.cat_kd import CATKD
from limbeck.losses.cka import CKA
from limbeck.losses.correlation_congruence import CorrelationCongruence
from limbeck.losses.cosine import Cosine
from limbeck.losses.cosine_smooth_l1 import CosineSmoothL1
from limbeck.losses.crd import CRD
from limbeck.losses.family import FeatureLoss
from limbeck.losses.feature_gram import FeatureGram
from limbeck.losses.hcl import HCL
from limbeck.losses.ickd import ICKD
from limbeck.losses.info_nce import InfoNCE
from limbeck.losses.log_correlation import LogCorrelation
from limbeck.losses.log_sum import LogSum
from limbeck.losses.mgd import MGD
from limbeck.losses.mini_lm_relations import MiniLMRelations
from limbeck.losses.mse import MSE
from limbeck.losses.norm import NORM
from limbeck.losses.nst import NST
from limbeck.losses.ofd import OFD
from limbeck.losses.pad import PAD
from limbeck.losses.pkd import PKD
from limbeck.losses.pkt import PKT
from limbeck.losses.procrustes import Procrustes
from limbeck.losses.redundancy_suppression import RedundancySuppression
from limbeck.losses.rkd_angle import RKDAngle
from limbeck.losses.rkd_distance import RKDDistance
from limbeck.losses.similarity_preserving import SimilarityPreserving
from limbeck.losses.smooth_l1 import SmoothL1
from limbeck.losses.srrl import SRRL
from limbeck.losses.token_similarity import TokenSimilarity
from limbeck.losses.vid import VID
from limbeck.losses.wkdf import WKDF

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "ActivationBoundaries",
    "AttentionScores",
    "AttentionTransfer",
    "CATKD",
    "CKA",
    "CorrelationCongruence",
    "Cosine",
    "CosineSmoothL1",
    "CRD",
    "FeatureGram",
    "HCL",
    "ICKD",
    "InfoNCE",
    "LogCorrelation",
    "LogSum",
    "MGD",
    "MiniLMRelations",
    "MSE",
    "NORM",
    "NST",
    "OFD",
    "PAD",
    "PKD",
    "PKT",
    "Procrustes",
    "RedundancySuppression",
    "RKDAngle",
    "RKDDistance",
    "SimilarityPreserving",
    "SmoothL1",
    "SRRL",
    "TokenSimilarity",
    "VID",
    "WKDF",
    "FeatureLoss",
]
