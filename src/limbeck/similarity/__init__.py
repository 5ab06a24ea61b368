"""Similarities: how alike each student site is to each teacher site."""

from limbeck.similarity.family import Similarity
from limbeck.similarity.minibatch_cka import MinibatchCKA
from limbeck.similarity.ridge_predictability import RidgePredictability

__all__ = [
    "MinibatchCKA",
    "RidgePredictability",
    "Similarity",
]
