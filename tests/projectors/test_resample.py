import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.links import FeatureSpec, Link
from limbeck.projectors import Resample

MAP = FeatureSpec("stage2", "BCHW", 6, 16, (4, 4))
PATCHES = FeatureSpec("blocks.3", "BNC", 6, 17, (4, 4), prefix=1, summary=0)
TEXT = FeatureSpec("layer.1", "BNC", 6, 9, (9,), variable=True)
VECTOR = FeatureSpec("fc", "BC", 6)


def test_larger_map_is_averaged_to_the_smaller_by_hand():
    x = torch.arange(16.0).reshape(1, 16, 1)
    target = FeatureSpec("layer4", "BCHW", 10, 4, (2, 2))
    out = Resample.for_link(Link(MAP, target))(Feature(x, (4, 4)))
    # Means of the four 2 x 2 blocks of 0..15.
    assert out.x.flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_equal_grids_are_left_alone_at_any_input_size():
    resample = Resample.for_link(Link(MAP, FeatureSpec("layer3", "BCHW", 10, 16, (4, 4))))
    feature = Feature(torch.ones(2, 36, 6), (6, 6))  # larger images than were probed
    assert resample(feature).x is feature.x


def test_prefix_is_dropped_or_kept_as_the_target_has_it():
    feature = Feature(torch.cat([9 * torch.ones(1, 1, 6), torch.ones(1, 16, 6)], 1), (4, 4), prefix=1, summary=0)
    dropped = Resample.for_link(Link(PATCHES, FeatureSpec("a", "BCHW", 8, 4, (2, 2))))(feature)
    assert dropped.x.shape == (1, 4, 6)
    assert dropped.x.max() == 1.0  # without the class token of nines
    kept = Resample.for_link(Link(PATCHES, FeatureSpec("b", "BNC", 8, 5, (2, 2), prefix=1)))(feature)
    assert (kept.x.shape[1], kept.prefix, kept.summary, kept.grid) == (5, 1, 0, (2, 2))
    assert kept.x[0, 0, 0] == 9.0  # the class token in front, as it was


def test_mask_of_equal_sequences_stays_and_goes_when_their_length_changes():
    mask = torch.tensor([[True] * 6 + [False] * 3])
    feature = Feature(torch.randn(1, 9, 6), (9,), 0, mask)
    same = Resample.for_link(Link(TEXT, FeatureSpec("a", "BNC", 8, 9, (9,), variable=True)))(feature)
    assert same.mask is mask
    pooled = Resample.for_link(Link(TEXT, FeatureSpec("b", "BNC", 8, 3, (3,))))(feature)
    # Three bins of the six valid positions, two each.
    assert torch.allclose(pooled.x[0, 0], feature.x[0, :2].mean(0), atol=1e-6)
    assert torch.allclose(pooled.x[0, 2], feature.x[0, 4:6].mean(0), atol=1e-6)
    assert pooled.mask.tolist() == [[True] * 3]


def test_target_vector_is_met_by_what_the_head_reads():
    x = torch.randn(2, 17, 6)
    out = Resample.for_link(Link(PATCHES, VECTOR))(Feature(x, (4, 4), prefix=1, summary=0))
    assert torch.equal(out.x[:, 0], x[:, 0])  # the class token
    assert out.grid is None


@pytest.mark.parametrize(
    ("student", "teacher", "advice"),
    [
        (VECTOR, MAP, "PositionLinear"),
        (FeatureSpec("gru", "BNC", 6, 16, (16,)), MAP, "PoolVector"),
        (MAP, FeatureSpec("conv", "BCL", 6, 16, (16,)), "PoolVector"),
        (MAP, PATCHES, "PoolGrid"),
        (TEXT, FeatureSpec("other_words", "BNC", 8, 7, (7,), variable=True), "PoolVector"),
        (VECTOR, TEXT, "PoolVector"),
    ],
)
def test_positions_without_correspondence_are_refused_with_advice(student, teacher, advice):
    with pytest.raises(ShapeMismatch, match=advice) as caught:
        Resample.for_link(Link(student, teacher))
    assert student.site in str(caught.value)
    assert teacher.site in str(caught.value)


def test_other_prefix_than_it_was_built_for_is_refused():
    resample = Resample.for_link(Link(PATCHES, FeatureSpec("b", "BNC", 8, 17, (4, 4), prefix=1)))
    with pytest.raises(ShapeMismatch, match=r"1 prefix tokens\. Found 2"):
        resample(Feature(torch.ones(1, 18, 6), (4, 4), prefix=2))
