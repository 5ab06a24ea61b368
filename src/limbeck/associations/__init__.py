"""Associations: how much each of several links counts, learnt or drawn as training goes on."""

from limbeck.associations.afd import AFD
from limbeck.associations.earth_mover import EarthMover
from limbeck.associations.family import Association
from limbeck.associations.link_softmax import LinkSoftmax
from limbeck.associations.minimum_link import MinimumLink
from limbeck.associations.random_links import RandomLinks
from limbeck.associations.review_fusion import ReviewFusion
from limbeck.associations.sem_ckd import SemCKD

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "AFD",
    "EarthMover",
    "LinkSoftmax",
    "MinimumLink",
    "RandomLinks",
    "ReviewFusion",
    "SemCKD",
    "Association",
]
