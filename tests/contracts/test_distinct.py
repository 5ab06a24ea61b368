"""No method stands in the catalogue under two names."""

import itertools

import torch

import limbeck.losses
from catalogue import built
from limbeck.testing.arguments import arguments
from limbeck.testing.samples import feature_pair


def test_no_two_feature_losses_are_equal_up_to_a_factor():
    losses = built(limbeck.losses)
    values = {}
    for loss in losses:
        pairs = [feature_pair(loss.needs, seed=seed, groups=loss.channel_groups) for seed in (0, 10, 20, 30)]
        with torch.no_grad():
            values[type(loss).__name__] = torch.stack([loss(*arguments(loss, *pair)) for pair in pairs])
    # A value that changes between draws only in its last digits would have any other as a factor.
    assert all(each.std() > 1e-3 * each.abs().mean() for each in values.values())
    same = [
        (one, other)
        for (one, first), (other, second) in itertools.combinations(values.items(), 2)
        if (first / second).std() < 1e-4 * (first / second).abs().mean()
    ]
    assert not same
