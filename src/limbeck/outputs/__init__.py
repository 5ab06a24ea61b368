"""Output losses: the student's answer against labels or the teacher's answer."""

from limbeck.outputs.cross_entropy import CrossEntropy
from limbeck.outputs.family import OutputLoss
from limbeck.outputs.given import Given
from limbeck.outputs.own_loss import OwnLoss
from limbeck.outputs.soft_labels import SoftLabels
from limbeck.outputs.standardised_logits import StandardisedLogits

__all__ = [  # noqa: RUF022 - methods in order of the alphabet, the contract last
    "CrossEntropy",
    "Given",
    "OwnLoss",
    "SoftLabels",
    "StandardisedLogits",
    "OutputLoss",
]
