import itertools

import pytest
import torch

from limbeck.associations import RandomLinks
from limbeck.errors import RecipeError

PAIRS = list(itertools.product(range(3), range(5)))


def draw(association):
    return [association.pairs[link] for link in association.active()]


def test_draws_are_in_order_and_reach_every_teacher_site():
    association = RandomLinks(PAIRS)
    seen = set()
    for _ in range(100):
        drawn = draw(association)
        assert [mine for mine, _ in drawn] == [0, 1, 2]
        theirs = [each for _, each in drawn]
        assert theirs == sorted(set(theirs))
        seen |= set(theirs)
    assert seen == set(range(5))


def test_the_seed_decides_the_draw():
    association = RandomLinks(PAIRS, draw=2)
    torch.manual_seed(3)
    first = draw(association)
    torch.manual_seed(3)
    assert draw(association) == first
    assert len(first) == 2


def test_evaluation_draws_nothing():
    association = RandomLinks(PAIRS).eval()
    assert draw(association) == draw(association) == [(0, 1), (1, 3), (2, 4)]  # ends of three equal parts of five


def test_a_missing_pair_is_refused():
    with pytest.raises(RecipeError, match="AllPairs"):
        RandomLinks(PAIRS[:-1])
