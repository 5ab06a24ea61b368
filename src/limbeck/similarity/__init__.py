"""Similarities: how alike each student site is to each teacher site.

The biased CKA has no class: over minibatches it is about 0.9 for features that have nothing to do with each other.
"""

from limbeck.similarity.family import Similarity
from limbeck.similarity.minibatch_cka import MinibatchCKA
from limbeck.similarity.mutual_knn import MutualKNN
from limbeck.similarity.procrustes import Procrustes
from limbeck.similarity.ridge_predictability import RidgePredictability

__all__ = [
    "MinibatchCKA",
    "MutualKNN",
    "Procrustes",
    "RidgePredictability",
    "Similarity",
]
