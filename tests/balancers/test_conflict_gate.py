import pytest
import torch

from limbeck.balancers import ConflictGate
from limbeck.errors import RecipeError
from tests.balancers.measured import NAN, norms

GROUPS = ("feature", "feature", "output")


def gated(cosines, **options) -> list[float]:
    balancer = ConflictGate(GROUPS, **options)
    for first, second in cosines:
        balancer.step(torch.ones(3), norms([1.0, 1.0, NAN], [1.0, 1.0, NAN], [first, second, NAN]))
    return balancer(torch.ones(3)).weights.tolist()


def test_weighted_form_is_the_cosine_where_it_is_positive():
    assert gated([(0.25, -0.25)]) == [0.25, 0.0, 1.0]  # max(0, cos)


def test_unweighted_form_is_all_or_nothing():
    assert gated([(0.25, -0.25)], power=0.0) == [1.0, 0.0, 1.0]
    assert gated([(0.0, 1.0)], power=0.0) == [1.0, 1.0, 1.0]  # at a right angle nothing works against the outputs


def test_cosine_is_smoothed_if_asked():
    assert gated([(0.5, 0.5), (-0.5, 0.5)], beta=0.5) == pytest.approx([0.125, 0.625, 1.0])  # from 1: 0.75, then both


def test_term_acts_in_full_until_it_is_measured():
    assert gated([]) == [1.0, 1.0, 1.0]
    assert gated([(NAN, 0.5)]) == [1.0, 0.5, 1.0]


@pytest.mark.parametrize("options", [{"power": -1.0}, {"beta": 1.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(RecipeError, match="ConflictGate needs"):
        ConflictGate(GROUPS, **options)
