import numpy as np
import pytest
import torch

from limbeck.errors import TeacherError
from limbeck.features import Feature
from limbeck.targets import Standardise


def fitted(*features: Feature, channels: int = 3, **options) -> Standardise:
    target = Standardise(channels, **options)
    target.fit(features)
    return target


def test_statistics_are_those_of_numpy_over_batches_of_different_size():
    parts = [torch.randn(size, 4, 3) * torch.tensor([1.0, 5.0, 0.1]) + 7 for size in (2, 9, 1)]
    target = fitted(*(Feature(each) for each in parts))
    rows = np.concatenate([each.cpu().numpy().reshape(-1, 3) for each in parts]).astype(np.float64)
    assert np.allclose(target.mean.cpu().numpy(), rows.mean(0), rtol=1e-5)  # of all rows at once
    assert np.allclose(target.deviation.cpu().numpy(), rows.std(0), rtol=1e-4)


def test_a_convolutional_teacher_is_given_in_the_order_of_a_projector_with_the_same_values():
    feature = Feature(torch.randn(8, 3, 5).transpose(1, 2))
    target = fitted(feature)
    x = target(feature).x
    assert x.is_contiguous()
    assert torch.equal(x, (feature.x - target.mean) / target.deviation)


def test_output_has_mean_zero_and_deviation_one():
    feature = Feature(50 + torch.randn(64, 4, 3) * torch.tensor([1.0, 30.0, 2.0]))
    x = fitted(feature)(feature).x.flatten(0, 1)
    assert torch.allclose(x.mean(0), torch.zeros(3), atol=1e-4)  # by construction
    assert torch.allclose(x.std(0, unbiased=False), torch.ones(3), atol=1e-4)


def test_mean_far_from_zero_costs_no_precision():
    noise = torch.randn(256, 1, 1, dtype=torch.float64)
    target = fitted(*(Feature(1e6 + part) for part in noise.split(32)), channels=1)
    # The naive mean of squares less the square of the mean would lose this in float32.
    assert target.deviation.item() == pytest.approx(noise.std(correction=0).item(), rel=1e-4)


def test_masked_positions_do_not_count():
    x, mask = torch.randn(4, 5, 3), torch.rand(4, 5) > 0.5
    mask[:, 0] = True
    with_padding = fitted(Feature(torch.where(mask.unsqueeze(-1), x, torch.nan), mask=mask))
    only_valid = fitted(Feature(x[mask].unsqueeze(0)))
    assert torch.allclose(with_padding.mean, only_valid.mean, atol=1e-6)  # the same rows
    assert torch.allclose(with_padding.deviation, only_valid.deviation, atol=1e-6)


def test_dead_channel_is_not_blown_up():
    x = torch.randn(64, 1, 3)
    x[..., 2] = 5 + 1e-6 * x[..., 2]
    feature = Feature(x)
    out = fitted(feature)(feature).x
    assert out[..., 2].abs().max() < 0.1  # rounding noise stays noise
    assert out[..., 0].std() == pytest.approx(1.0, rel=0.05)


def test_unfitted_target_says_what_to_do():
    with pytest.raises(TeacherError, match=r"fit\(features\)"):
        Standardise(3)(Feature(torch.ones(2, 1, 3)))


def test_statistics_come_back_from_a_state_dict():
    feature = Feature(torch.randn(8, 1, 3))
    first, second = fitted(feature), Standardise(3)
    second.load_state_dict(first.state_dict())
    assert torch.equal(second(feature).x, first(feature).x)


@pytest.mark.parametrize("x", [torch.ones(4, 1, 3), torch.full((4, 1, 3), torch.nan), torch.full((4, 1, 3), torch.inf)])
def test_feature_with_nothing_to_teach_is_refused(x):
    with pytest.raises(TeacherError, match="finite and vary"):
        fitted(Feature(x))


def test_no_feature_at_all_is_refused():
    with pytest.raises(TeacherError, match="Found 0 positions"):
        fitted()


def test_fitting_again_starts_again():
    target = fitted(Feature(100 + torch.randn(8, 1, 3)))
    feature = Feature(torch.randn(8, 1, 3))
    target.fit([feature])
    assert torch.allclose(target.mean, feature.x.mean((0, 1)), atol=1e-6)  # nothing left of the first


def test_value_by_hand():
    target, feature = Standardise(1), Feature(torch.tensor([[[1.0]], [[5.0]]]))
    target.fit([feature])  # mean 3, deviation 2
    assert target(feature).x.flatten().tolist() == pytest.approx([-1.0, 1.0])
