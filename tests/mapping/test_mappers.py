import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import RecipeError
from limbeck.links import FeatureSpec
from limbeck.mapping import (
    BestMatch,
    Explicit,
    HeadInput,
    LastStages,
    RandomOrder,
    Reversed,
    SameDepth,
    SameGrid,
)
from limbeck.testing import check_mapper
from limbeck.testing.networks import conv_network, encoder, perceptron, single_site, vision_transformer

RESNET50 = conv_network(3, 4, 6, 3)
FOUR_LAYERS = conv_network(1, 1, 1, 1)
VIT = vision_transformer(12)


def names(links) -> list[tuple[str, str]]:
    return [(link.student.site, link.teacher.site) for link in links]


def test_default_from_a_vision_transformer_to_a_convolutional_student():
    # Three trunk links over 4 stages and 12 blocks: ceil(k 4/3) = 2, 3, 4 and ceil(k 12/3) = 4, 8, 12; then the heads.
    assert names(SameDepth()(conv_network(2, 2, 2, 2), VIT)) == [
        ("stages.1.1", "blocks.3"),
        ("stages.2.1", "blocks.7"),
        ("stages.3.1", "blocks.11"),
        ("fc:input", "head:input"),
    ]


def test_default_from_a_convolutional_teacher_to_a_vision_transformer():
    assert names(SameDepth()(VIT, RESNET50)) == [
        ("blocks.3", "stages.1.3"),  # the same three parts the other way round, by the teacher's stage ends
        ("blocks.7", "stages.2.5"),
        ("blocks.11", "stages.3.2"),
        ("head:input", "fc:input"),
    ]


def test_default_from_fifty_layers_to_four():
    assert names(SameDepth()(FOUR_LAYERS, RESNET50)) == [
        ("stages.1.0", "stages.1.3"),  # stage by stage, the last three of four
        ("stages.2.0", "stages.2.5"),
        ("stages.3.0", "stages.3.2"),
        ("fc:input", "fc:input"),
    ]


def test_default_for_a_student_of_vectors():
    assert names(SameDepth()(perceptron(3), RESNET50)) == [
        ("layers.0", "stages.1.3"),  # each of its three layers, ceil(k 4/3) of the teacher's stages
        ("layers.1", "stages.2.5"),
        ("layers.2", "stages.3.2"),
        ("out:input", "fc:input"),
    ]


def test_networks_without_a_head_are_linked_at_the_end():
    assert names(SameDepth()(encoder(4), encoder(12)))[-1] == ("layer.3", "layer.11")
    assert len(SameDepth()(encoder(4), encoder(12))) == 4  # no link is kept back for a head


def test_head_of_one_network_alone_is_a_site_like_the_others():
    assert names(SameDepth(links=1)(single_site(), VIT)) == [("only", "head:input")]


@settings(max_examples=60, deadline=None)
@given(
    mine=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    theirs=st.integers(1, 24),
    links=st.integers(1, 9),
    swap=st.booleans(),
)
def test_any_pair_of_depths_keeps_the_contract(mine, theirs, links, swap):
    pair = (conv_network(*mine), vision_transformer(theirs))
    pair = pair[::-1] if swap else pair
    for mapper in (SameDepth(links=links), SameGrid(links=links), BestMatch(links=links), LastStages(count=links)):
        check_mapper(mapper, networks=[pair])
    spread = SameDepth(links=links)(*pair)
    assert spread[-1].student.role == spread[-1].teacher.role == "head"
    for side in ("student", "teacher"):
        sites = [getattr(link, side).site for link in spread]
        assert len(set(sites)) == len(sites)  # distinct on both sides


def test_same_grid_joins_stages_of_equal_resolution():
    small, large = conv_network(1, 1, 1, side=16), conv_network(3, 4, 6, 3, side=32)
    assert names(SameGrid()(small, large)) == [
        ("stages.0.0", "stages.1.3"),  # 16 by 16
        ("stages.1.0", "stages.2.5"),  # 8 by 8
        ("stages.2.0", "stages.3.2"),  # 4 by 4
        ("fc:input", "fc:input"),
    ]


def test_same_grid_takes_the_nearest_resolution_where_none_is_equal():
    student = conv_network(1, 1, 1, side=28)
    teacher = conv_network(1, 1, 1, 1, side=64)
    # 28, 14, 7 against 64, 32, 16, 8.
    assert names(SameGrid()(student, teacher))[:3] == [
        ("stages.0.0", "stages.1.0"),
        ("stages.1.0", "stages.2.0"),
        ("stages.2.0", "stages.3.0"),
    ]


def test_same_grid_of_a_plain_transformer_is_its_last_block():
    # 14 by 14 throughout; of the stages at 32, 16, 8, 4 the one at 16 is nearest.
    assert names(SameGrid()(conv_network(1, 1, 1, 1), VIT)) == [("stages.1.0", "blocks.11"), ("fc:input", "head:input")]


def test_head_input_is_one_link():
    assert names(HeadInput()(RESNET50, VIT)) == [("fc:input", "head:input")]
    assert names(HeadInput()(encoder(2), VIT)) == [("layer.1", "head:input")]  # the last site where none is marked


def test_last_stages_are_counted_from_the_end():
    assert names(LastStages()(FOUR_LAYERS, RESNET50)) == [("stages.2.0", "stages.2.5"), ("stages.3.0", "stages.3.2")]
    assert names(LastStages(count=1)(VIT, RESNET50)) == [("blocks.11", "stages.3.2")]


def test_best_match_follows_the_scores_in_order():
    student, teacher = conv_network(1, 1, 1), conv_network(1, 1, 1, 1)
    scores = torch.zeros(4, 5)
    scores[0, 2], scores[1, 0], scores[1, 3], scores[2, 1] = 1.0, 3.0, 0.9, 2.5
    # The best pair of cells that is in order: (1, 0) and (2, 1), 5.5 together. Head sites are not in the table.
    assert names(BestMatch(links=3)(student, teacher, scores)) == [
        ("stages.1.0", "stages.0.0"),
        ("stages.2.0", "stages.1.0"),
        ("fc:input", "fc:input"),
    ]


def test_best_match_shares_teacher_sites_only_when_all_are_used():
    student, teacher = perceptron(5), conv_network(1, 1)
    links = BestMatch(links=6)(student, teacher, torch.rand(6, 3))
    used = [link.teacher.site for link in links]
    assert len(links) == 6  # all five layers and the head
    assert set(used) == {"stages.0.0", "stages.1.0", "fc:input"}


def test_best_match_with_scores_that_are_not_finite_is_refused():
    scores = torch.zeros(4, 5)
    scores[1, 1] = torch.nan
    with pytest.raises(RecipeError, match="1 of them not finite"):
        BestMatch()(conv_network(1, 1, 1), conv_network(1, 1, 1, 1), scores)


def test_controls_keep_the_sites_and_the_head_of_the_default():
    student, teacher = conv_network(1, 1, 1, 1), VIT
    default = names(SameDepth()(student, teacher))
    for control in (RandomOrder(), RandomOrder(seed=3), Reversed()):
        found = names(control(student, teacher))
        assert found != default
        assert found[-1] == default[-1]
        assert [mine for mine, _ in found] == [mine for mine, _ in default]
        assert sorted(theirs for _, theirs in found) == sorted(theirs for _, theirs in default)
    assert [theirs for _, theirs in names(Reversed()(student, teacher))[:3]] == ["blocks.11", "blocks.7", "blocks.3"]


def test_random_order_differs_from_the_default_for_every_seed_and_between_seeds():
    maps = {tuple(names(RandomOrder(seed=seed)(FOUR_LAYERS, RESNET50))) for seed in range(20)}
    assert tuple(names(SameDepth()(FOUR_LAYERS, RESNET50))) not in maps
    assert len(maps) == 5  # all orders of three but the given one


def test_explicit_links_are_sorted_by_the_student():
    mapper = Explicit(pairs=(("stages.2.0", "blocks.0"), ("stages.0.0", "blocks.11")))
    assert names(mapper(FOUR_LAYERS, VIT)) == [("stages.0.0", "blocks.11"), ("stages.2.0", "blocks.0")]


def test_explicit_names_the_nearest_sites():
    with pytest.raises(RecipeError, match=r"teacher has no site 'block\.3'.*'blocks\.3'"):
        Explicit(pairs=(("stages.0.0", "block.3"),))(FOUR_LAYERS, VIT)


def test_explicit_without_pairs_is_refused():
    with pytest.raises(RecipeError, match="pairs"):
        Explicit(pairs=())


@pytest.mark.parametrize("cls", [SameDepth, SameGrid, BestMatch, RandomOrder, Reversed])
def test_fewer_than_one_link_is_refused(cls):
    with pytest.raises(RecipeError, match=f"{cls.__name__} needs links of at least 1. Found 0"):
        cls(links=0)


def test_network_without_sites_is_refused():
    with pytest.raises(RecipeError, match="0 of the student and 13 of the teacher"):
        SameDepth()([], VIT)


def test_stages_count_only_where_there_are_three():
    two = [FeatureSpec(f"s{i}", "BC", 8, role="stage" if i in {2, 5} else "block") for i in range(6)]
    assert [mine for mine, _ in names(SameDepth(links=6)(two, two))] == [f"s{i}" for i in range(6)]  # its six blocks
