"""The contract checks of losses catch losses that are wrong: deliberate mistakes, each by the check made for it."""

from typing import ClassVar

import pytest
import torch

from limbeck._math.masking import both_valid, masked_mean, valid_pair
from limbeck.links import Match
from limbeck.losses import FeatureLoss
from limbeck.losses.samplewise import SamplewiseLoss
from limbeck.testing import ContractError, check_loss


class IgnoresItsMask(FeatureLoss):
    needs: ClassVar = Match.CHANNELS | Match.POSITIONS

    def compare(self, student, teacher, /):
        return (student.x - teacher.x).square().mean()


class RatioWithoutEpsilon(FeatureLoss):
    """Relative error of pooled features: 0/0 where the teacher is zero."""

    needs: ClassVar = Match.CHANNELS

    def compare(self, student, teacher, /):
        s, t = student.pooled(), teacher.pooled()
        return ((s - t).square().sum() / t.square().sum()).sqrt()


class PairsSampleIWithJ(FeatureLoss):
    """Compares every sample with its neighbour in the batch."""

    needs: ClassVar = Match.CHANNELS
    zero_when_equal: ClassVar = False

    def compare(self, student, teacher, /):
        return (student.pooled() - teacher.pooled().roll(1, 0)).square().mean()


class SignedCosine(FeatureLoss):
    """The negative of the cosine: the right gradient, but a value that a log or ratio balancer cannot take."""

    needs: ClassVar = Match.CHANNELS
    zero_when_equal: ClassVar = False

    def compare(self, student, teacher, /):
        return -torch.nn.functional.cosine_similarity(student.pooled(), teacher.pooled(), eps=1e-6).mean()


class WeightByItem(FeatureLoss):
    """A weight that depends on the student but is no part of the graph."""

    needs: ClassVar = Match.CHANNELS

    def compare(self, student, teacher, /):
        s, t = student.pooled(), teacher.pooled()
        weight = 1 / (1 + s.square().mean().item())
        return weight * (s - t).square().mean()


class WrongNeeds(FeatureLoss):
    """Says that it needs nothing, and subtracts."""

    needs: ClassVar = Match.NOTHING

    def compare(self, student, teacher, /):
        return (student.x - teacher.x).square().mean()


class DividesByTheOtherPositions(FeatureLoss):
    """Says that a single position is enough, and divides by the number of the others."""

    needs: ClassVar = Match.CHANNELS | Match.POSITIONS

    def compare(self, student, teacher, /):
        s, t, _ = valid_pair(student, teacher)
        return (s - t).square().sum((1, 2)).mean() / (s.shape[1] - 1)


class MasksTheErrorOnly(FeatureLoss):
    """The right value, but a gradient of zero times whatever stands at masked positions: NaN, if that is NaN."""

    needs: ClassVar = Match.CHANNELS | Match.POSITIONS

    def compare(self, student, teacher, /):
        return masked_mean((student.x - teacher.x).square().mean(-1), both_valid(student.mask, teacher.mask))


class SamplesOfAnotherSize(SamplewiseLoss):
    """The sum over samples, while each sample gives its mean."""

    needs: ClassVar = Match.CHANNELS

    def rows(self, student, teacher, /):
        return (student.pooled() - teacher.pooled()).square(), None

    def compare(self, student, teacher, /):
        return self.rows(student, teacher)[0].sum()


class LeavesAutocastOn(FeatureLoss):
    """Its matrix product is rounded to half precision where autocast is on."""

    needs: ClassVar = Match.CHANNELS

    def forward(self, student, teacher, /):
        self._check(student, teacher)
        return self.compare(student.full_precision(), teacher.full_precision().detach())

    def compare(self, student, teacher, /):
        return 1 - torch.cosine_similarity(*((x := each.pooled()) @ x.T for each in (student, teacher))).mean()


MUTANTS = {
    LeavesAutocastOn: "check_autocast",
    DividesByTheOtherPositions: "check_single_position",
    IgnoresItsMask: "check_masked_positions",
    MasksTheErrorOnly: "check_masked_positions",
    SamplesOfAnotherSize: "check_samples",
    RatioWithoutEpsilon: "check_degenerate_inputs",
    PairsSampleIWithJ: "check_batch_order",
    SignedCosine: "check_non_negative",
    WeightByItem: "check_gradient_is_right",
    WrongNeeds: "check_needs",
}


@pytest.mark.parametrize(("mutant", "check"), MUTANTS.items(), ids=lambda each: getattr(each, "__name__", each))
def test_wrong_loss_is_caught_by_the_check_made_for_it(mutant, check):
    with pytest.raises(ContractError) as caught:
        check_loss(mutant())
    assert caught.value.check == check
    assert mutant.__name__ in str(caught.value)


def test_error_inside_a_loss_is_reported_by_check_and_name():
    class Raises(FeatureLoss):
        def compare(self, _student, _teacher, /):
            raise ZeroDivisionError("inside")

    with pytest.raises(ContractError, match=r"check_needs: Raises .* ZeroDivisionError: inside"):
        check_loss(Raises())
