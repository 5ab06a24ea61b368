"""No method stands in the catalogue under two names: no two of a family are equal up to a factor."""

import itertools

import pytest
import torch

import limbeck.associations
import limbeck.balancers
import limbeck.losses
import limbeck.outputs
import limbeck.schedules
import limbeck.similarity
import limbeck.targets
from catalogue import TARGETED, built, classes, target_of
from limbeck.associations.family import Compared
from limbeck.balancers.family import TapNorms
from limbeck.context import Context
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.targets.family import FittedTarget
from limbeck.testing.arguments import arguments
from limbeck.testing.samples import feature_of, feature_pair, normal

SEEDS = (0, 10, 20, 30)
STUDENT = [FeatureSpec(f"s{i}", "BCHW", 6 + i, 16, (4, 4), depth=(i + 1) / 2) for i in range(2)]
TEACHER = [FeatureSpec(f"t{i}", "BCHW", 10 + i, 16, (4, 4), depth=(i + 1) / 2) for i in range(2)]
TEXT = Link(FeatureSpec("a", "BNC", 6, 9, (9,)), FeatureSpec("b", "BNC", 10, 9, (9,), role="head"))


def feature_losses():
    for loss in built(limbeck.losses):
        pairs = [feature_pair(loss.needs, seed=seed, groups=loss.channel_groups) for seed in SEEDS]
        yield loss, torch.stack([loss(*arguments(loss, *pair)) for pair in pairs])


def output_losses():
    for loss in built(limbeck.outputs):
        if isinstance(loss, limbeck.outputs.Given):
            continue  # It is whatever function it is given.
        values = []
        for seed in SEEDS:
            mine, theirs = (normal(6, 8, seed=seed + side) for side in (0, 1))
            labels = normal(6, 8, seed=seed + 2)
            labels = labels.sigmoid() if loss.numeric_labels else labels.argmax(-1)
            values.append(loss(Context(labels, None, mine, theirs, normal(seed=seed + 3).abs())))
        yield loss, torch.stack(values)


def targets():
    for cls in classes(limbeck.targets):
        link = TARGETED["ChannelWeights"][0] if cls.__name__ == "ChannelWeights" else TEXT
        target = target_of(cls, link)
        if isinstance(target, FittedTarget):
            target.fit([feature_of(link.teacher, batch=32, seed=seed) for seed in SEEDS])
        yield target, target(feature_of(link.teacher, batch=4, seed=1)).x.flatten()


def schedules():
    for schedule in built(limbeck.schedules):
        yield schedule, torch.tensor([schedule(moment / 1000) for moment in range(1, 1001)]).flatten()


def associations():
    for cls in classes(limbeck.associations):
        pairs = list(zip(STUDENT, TEACHER, strict=True)) if cls.aligns else list(itertools.product(STUDENT, TEACHER))
        links = list(itertools.starmap(Link, pairs))
        association = cls.for_links(links).eval()
        values = []
        for seed in SEEDS:
            active = list(association.active())
            sides = [[feature_of(spec, seed=seed) for spec in each] for each in zip(*pairs, strict=True)]
            costs = normal(4 if association.needs_samples else 1, len(links), seed=seed).abs()[:, active]
            compared = Compared(costs, active, *([side[link] for link in active] for side in sides))
            values.append(association(compared))
        yield association, torch.stack(values)


def balancers():
    groups = ("feature", "feature", "output", "output")
    feature = torch.tensor([True, True, False, False])
    for cls in classes(limbeck.balancers):
        balancer = cls(groups)
        for seed in range(30):
            parts = (normal(4, seed=seed).exp(), normal(4, seed=seed + 1).exp(), normal(4, seed=seed + 2).tanh())
            balancer.step(
                normal(4, seed=seed).abs() + 0.1, TapNorms(*(torch.where(feature, each, torch.nan) for each in parts))
            )
        yield balancer, balancer(normal(4, seed=50).abs() + 0.1).weights


def similarities():
    for cls in classes(limbeck.similarity):
        tables = []
        for seed in SEEDS:
            measure = cls()
            shared = normal(64, 4, seed=seed)
            for part in shared.split(16):
                mine, theirs = (part @ normal(4, 6, seed=seed + side) for side in (1, 2))
                noisy = [each + 0.5 * normal(*each.shape, seed=seed + 3) for each in (mine, theirs)]
                measure.update(*({"site": Feature(each.unsqueeze(1))} for each in noisy))
            tables.append(measure.compute().flatten())
        yield measure, torch.cat(tables).float()


@pytest.mark.parametrize(
    "family", [feature_losses, output_losses, associations, targets, balancers, schedules, similarities]
)
def test_no_two_of_a_family_are_equal_up_to_a_factor(family):
    with torch.no_grad():
        values = {type(subject).__name__: each.double() for subject, each in family()}
    same = [
        (one, other)
        for (one, first), (other, second) in itertools.combinations(values.items(), 2)
        if first.shape == second.shape and torch.cosine_similarity(first, second, dim=0) > 1 - 1e-8
    ]
    assert not same


@pytest.mark.parametrize("family", [feature_losses, output_losses])
def test_values_change_between_draws_so_that_a_factor_would_be_seen(family):
    with torch.no_grad():
        # One that changes only in its last digits would have any other as a factor.
        assert all(values.std() > 1e-3 * values.abs().mean() for _, values in family())
