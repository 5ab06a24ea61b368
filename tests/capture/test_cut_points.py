"""Cut points are the tensors that no path from the inputs to the output avoids."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.capture.cut_points import Dataflow


@st.composite
def networks(draw):
    """Sums of random earlier tensors, as lists of the numbers of those."""
    size = draw(st.integers(1, 9))
    return [draw(st.lists(st.integers(0, i), min_size=1, max_size=3, unique=True)) for i in range(size)]


def run(network):
    tensors = [torch.ones(2, requires_grad=True).exp()]
    for sources in network:
        tensors.append(torch.stack([tensors[i] for i in sources]).sum(0).sin())
    return tensors


def paths(network):
    """Every way from the last tensor back to the first, as sets of numbers."""
    ways = {0: [{0}]}
    for i, sources in enumerate(network, start=1):
        ways[i] = [{i, *way} for source in sources for way in ways[source]]
    return ways[len(network)]


@given(networks())
@settings(max_examples=200, deadline=None)
def test_cut_points_are_what_all_paths_share(network):
    tensors = run(network)
    flow = Dataflow([(tensors[-1].grad_fn, 0)])
    shared = set.intersection(*paths(network))
    assert {i for i, each in enumerate(tensors) if (each.grad_fn, 0) in flow.cuts} == shared


@given(networks())
@settings(max_examples=100, deadline=None)
def test_tensors_cut_together_when_each_path_meets_one_of_them(network):
    tensors = run(network)
    flow = Dataflow([(tensors[-1].grad_fn, 0)])
    ways = paths(network)
    for pair in itertools.combinations(range(len(tensors)), 2):
        expected = all(way & set(pair) for way in ways)
        assert flow.cut_by({(tensors[i].grad_fn, 0) for i in pair}) == expected


@given(networks())
@settings(max_examples=100, deadline=None)
def test_what_the_output_does_not_depend_on_is_outside(network):
    tensors = run(network)
    flow = Dataflow([(tensors[-1].grad_fn, 0)])
    reached = set.union(*paths(network))
    assert {i for i, each in enumerate(tensors) if (each.grad_fn, 0) in flow} == reached


def test_halves_of_a_split_are_no_cut_point_alone():
    x = torch.ones(4, requires_grad=True).exp()
    one, other = x.split(2)
    y = one * other
    flow = Dataflow([(y.grad_fn, y.output_nr)])
    assert (x.grad_fn, 0) in flow.cuts
    assert (one.grad_fn, one.output_nr) not in flow.cuts
    assert flow.cut_by({(one.grad_fn, one.output_nr), (other.grad_fn, other.output_nr)})


def test_before_a_second_input_joins_nothing_is_a_cut_point():
    first, second = torch.ones(2, requires_grad=True).exp(), torch.ones(2, requires_grad=True).sin()
    alone = first.cos()
    joined = alone + second
    flow = Dataflow([(joined.grad_fn, 0)])
    assert (alone.grad_fn, 0) not in flow.cuts
    assert (joined.grad_fn, 0) in flow.cuts
