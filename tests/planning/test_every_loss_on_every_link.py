"""A loss that cannot work on a link is refused when its term is built, with the reason and what to do instead."""

import math

import pytest
import torch
from torch import nn

from limbeck import losses
from limbeck.context import Context, Heads
from limbeck.distiller.term import Term
from limbeck.errors import PlanMismatch, ShapeMismatch
from limbeck.links import FeatureSpec, Link
from limbeck.planning import fitting
from limbeck.recipe.part import Part
from limbeck.testing.samples import feature_of

VECTOR = FeatureSpec("fc", "BC", 6)
WIDE_VECTOR = FeatureSpec("pool", "BC", 10, role="head")
MAP = FeatureSpec("stage2", "BCHW", 6, 36, (6, 6))
WIDE_MAP = FeatureSpec("layer4", "BCHW", 10, 16, (4, 4), role="head")
ONE_PIXEL = FeatureSpec("avgpool", "BCHW", 10, 1, (1, 1), role="head")
PATCHES = FeatureSpec("blocks.3", "BNC", 6, 17, (4, 4), prefix=1, summary=0)
WIDE_PATCHES = FeatureSpec("blocks.11", "BNC", 10, 17, (4, 4), prefix=1, summary=0, role="head")
TEXT = FeatureSpec("layer.1", "BNC", 6, 9, (9,), summary=0, variable=True)
WIDE_TEXT = FeatureSpec("encoder.5", "BNC", 10, 9, (9,), summary=0, variable=True, role="head")
SERIES = FeatureSpec("conv3", "BCL", 6, 20, (20,))
LINKS = {
    "vector-vector": Link(VECTOR, WIDE_VECTOR),
    "vector-same vector": Link(WIDE_VECTOR, WIDE_VECTOR),
    "map-map of another grid": Link(MAP, WIDE_MAP),
    "map-same map": Link(WIDE_MAP, WIDE_MAP),
    "map-vector": Link(MAP, WIDE_VECTOR),
    "map-one pixel": Link(MAP, ONE_PIXEL),
    "one pixel-vector": Link(ONE_PIXEL, WIDE_VECTOR),
    "vector-map": Link(VECTOR, WIDE_MAP),
    "patches-patches": Link(PATCHES, WIDE_PATCHES),
    "patches-map": Link(PATCHES, WIDE_MAP),
    "map-patches": Link(MAP, WIDE_PATCHES),
    "patches-vector": Link(PATCHES, WIDE_VECTOR),
    "text-text": Link(TEXT, WIDE_TEXT),
    "text-vector": Link(TEXT, WIDE_VECTOR),
    "vector-text": Link(VECTOR, WIDE_TEXT),
    "series-map": Link(SERIES, WIDE_MAP),
}
OPTIONS = {"CRD": {"samples": 8}, "MiniLMRelations": {"heads": 2}, "AttentionScores": {"heads": 1, "parts": 2}}
BATCH = 8


def build(link: Link, loss: Part, heads: Heads) -> Term:
    """A term, as the plan of a recipe that leaves everything else to limbeck has it."""
    chosen = fitting.choose(link, loss)
    fitting.check(link, loss, chosen.projector, chosen.targets)
    return Term(
        link,
        loss=fitting.build_loss(link, loss, chosen.projector, chosen.targets, heads),
        projector=fitting.build_projector(link, chosen.projector, chosen.targets),
        targets=fitting.build_targets(link, chosen.targets, heads),
    )


def values(term: Term) -> list[float]:
    """What it gives on random features of these specs, in training and in evaluation."""
    specs = term.link.student, term.link.teacher
    student, teacher = (
        feature_of(each, batch=BATCH, seed=seed, masked=each.variable) for seed, each in enumerate(specs)
    )
    term.fit([teacher])
    labels = torch.arange(BATCH) % 3
    context = Context(labels, torch.stack([torch.arange(BATCH), torch.zeros(BATCH, dtype=torch.long)], 1))
    found = []
    for training in (True, False):
        term.train(training)
        found.append(term({specs[0].site: student}, {specs[1].site: teacher}, context).item())
    return found


def built_or_refused(link: Link, loss: Part) -> Term | str:
    try:
        return build(link, loss, heads_of(link))
    except (PlanMismatch, ShapeMismatch) as refused:
        return str(refused)


def heads_of(link: Link) -> Heads:
    return Heads(nn.Linear(link.student.channels, 3), nn.Linear(link.teacher.channels, 3))


@pytest.mark.parametrize("name", [name for name in losses.__all__ if name != "FeatureLoss"])
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_it_works_or_is_refused_before_the_first_step(name, link):
    loss = Part(kind=name, **OPTIONS.get(name, {}))
    term = built_or_refused(link, loss)
    if isinstance(term, str):
        assert any(advice in term for advice in ("Use a loss", "or use a loss"))
    else:
        assert all(math.isfinite(value) for value in values(term))


@pytest.mark.parametrize("name", ["CATKD", "SRRL"])
def test_a_site_that_the_head_does_not_read_is_refused(name):
    with pytest.raises(
        PlanMismatch, match=r"teacher's last linear layer, which takes 11 channels. Found 10 at 'layer4'"
    ):
        build(LINKS["map-map of another grid"], Part(kind=name), Heads(nn.Linear(6, 3), nn.Linear(11, 3)))


def chosen(link: str, loss: str) -> tuple[str | None, list[str]]:
    fitted = fitting.choose(LINKS[link], Part(kind=loss))
    return fitted.projector and fitted.projector.kind, [each.kind for each in fitted.targets]


def test_positions_that_do_not_correspond_are_pooled_for_a_projector_too():
    assert chosen("map-patches", "WKDF") == ("Linear", ["PoolGrid", "Standardise"])
    assert chosen("series-map", "InfoNCE") == ("Linear", ["PoolVector", "Standardise"])
    assert chosen("map-map of another grid", "InfoNCE") == ("Linear", ["Standardise"])  # they correspond


def test_a_vector_predicts_the_positions_of_a_small_grid_for_any_loss_that_compares_positions():
    assert chosen("vector-map", "AttentionTransfer") == ("PositionLinear", ["PoolGrid"])
    assert chosen("vector-map", "MSE") == ("PositionLinear", ["PoolGrid", "Standardise"])


def test_choosing_draws_no_random_numbers():
    torch.manual_seed(3)
    fitting.choose(LINKS["map-patches"], Part(kind="MSE"))
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
