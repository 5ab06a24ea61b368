import pytest
import torch

from limbeck.errors import ShapeMismatch
from limbeck.features import Feature
from limbeck.losses import CKA, SimilarityPreserving
from limbeck.targets import Centre


def test_value_by_hand():
    x = torch.tensor([[[1.0, 0.0]], [[5.0, 2.0]]])
    assert Centre()(Feature(x)).x.tolist() == [[[-2.0, -1.0]], [[2.0, 1.0]]]


def test_value_by_loops_where_some_positions_are_padding():
    x, mask = torch.randn(5, 4, 3), torch.rand(5, 4) > 0.4
    mask[0] = True
    found = Centre()(Feature(x, (4,), mask=mask)).x
    for b in range(5):
        for n in range(4):
            for c in range(3):
                column = [x[a, n, c].item() for a in range(5) if mask[a, n]]
                expected = x[b, n, c].item() - sum(column) / len(column) if mask[b, n] else 0.0
                assert found[b, n, c].item() == pytest.approx(expected, abs=1e-5)


def test_what_all_samples_share_no_longer_makes_them_alike():
    x = torch.rand(8, 1, 16) + 5  # as behind a ReLU: every sample resembles every other
    alike, centred = Feature(x), Centre()(Feature(x))
    other = Feature(torch.rand(8, 1, 16) + 5)
    loss = SimilarityPreserving()
    assert loss(alike, other) < 1e-3 * loss(centred, Centre()(other))


def test_a_loss_that_centres_by_itself_gives_the_same():
    pair = Feature(torch.randn(8, 3, 4) + 2, (3,)), Feature(torch.randn(8, 5, 6) - 1, (5,))
    torch.testing.assert_close(CKA()(*pair), CKA()(*map(Centre(), pair)))


def test_one_sample_is_refused():
    with pytest.raises(ShapeMismatch, match="Centre needs at least 2 samples"):
        Centre()(Feature(torch.ones(1, 1, 2)))
