"""Feature losses: a student's feature against a teacher's, one number out."""

from limbeck.losses.attention_transfer import AttentionTransfer
from limbeck.losses.cka import CKA
from limbeck.losses.cosine import Cosine
from limbeck.losses.cosine_smooth_l1 import CosineSmoothL1
from limbeck.losses.family import FeatureLoss
from limbeck.losses.mse import MSE
from limbeck.losses.similarity_preserving import SimilarityPreserving

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "AttentionTransfer",
    "CKA",
    "Cosine",
    "CosineSmoothL1",
    "MSE",
    "SimilarityPreserving",
    "FeatureLoss",
]
