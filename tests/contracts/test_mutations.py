"""The contract checks of losses catch losses that are wrong: six deliberate mistakes, each by the check made for it."""

from typing import ClassVar

import pytest
import torch

from limbeck.links import Match
from limbeck.losses import FeatureLoss
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


MUTANTS = {
    IgnoresItsMask: "check_masked_positions",
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
