from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.errors import DataError
from limbeck.sources.loaders import stratified


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.data(), st.integers(0, 3))
def test_a_stratified_share_has_its_size_and_every_class(labels, data, seed):
    count = data.draw(st.integers(len(set(labels)), len(labels)))
    places = stratified(labels, count, seed=seed)
    assert len(set(places)) == count
    inside = Counter(labels[place] for place in places)
    assert inside.keys() == set(labels)
    for kind, size in Counter(labels).items():
        exact = size * count / len(labels)
        # A class that would get less than one sample gets one, at the expense of the others.
        assert inside[kind] <= max(1, exact + 1)


def test_a_stratified_share_depends_on_the_seed_alone():
    labels = [0, 1] * 20
    torch.manual_seed(1)
    first = stratified(labels, 10, seed=4)
    torch.manual_seed(2)
    assert stratified(labels, 10, seed=4) == first
    assert stratified(labels, 10, seed=5) != first


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_share_that_cannot_hold_every_class_is_refused(count):
    with pytest.raises(DataError, match=f"Found {count}"):
        stratified([0, 0, 1, 1], count, seed=0)
