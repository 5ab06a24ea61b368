"""What the losses share whose value is a mean over samples, or over rows that belong to one sample each."""

from __future__ import annotations

from abc import abstractmethod

from jaxtyping import Bool, Float
from torch import Tensor

from limbeck._math.masking import masked_mean, mean_by_sample
from limbeck.features import Feature
from limbeck.losses.family import FeatureLoss


class SamplewiseLoss(FeatureLoss):
    """A feature loss that is the mean of what it finds in each sample.

    A subclass computes in :meth:`rows`.
    """

    @abstractmethod
    def rows(self, student: Feature, teacher: Feature, /) -> tuple[Float[Tensor, "B R"], Bool[Tensor, "B R"] | None]:
        """The ``R`` values of every sample, and which of them count; ``None`` for all."""

    def compare(self, student: Feature, teacher: Feature, /) -> Float[Tensor, ""]:
        """The mean over all values of the batch that count."""
        return masked_mean(*self.rows(student, teacher))

    def compare_samples(self, student: Feature, teacher: Feature, /) -> Float[Tensor, " B"]:
        """The mean over the values of each sample that count."""
        return mean_by_sample(*self.rows(student, teacher))
