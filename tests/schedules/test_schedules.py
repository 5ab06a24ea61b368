import math

import pytest

from limbeck.errors import RecipeError
from limbeck.schedules import Constant, CosineDecay, FeaturesFirst, WarmUp


@pytest.mark.parametrize("moment", [0.0, 0.5, 1.0])
def test_constant_is_one_and_one(moment):
    assert Constant()(moment) == (1.0, 1.0)


@pytest.mark.parametrize(("moment", "feature"), [(0.0, 0.0), (0.025, 0.5), (0.05, 1.0), (1.0, 1.0)])
def test_warm_up_is_a_line_to_its_share(moment, feature):
    assert WarmUp()(moment) == (pytest.approx(feature), 1.0)  # progress over 0.05


@pytest.mark.parametrize("moment", [0.0, 0.3, 0.6, 0.7, 0.8, 0.95, 1.0])
def test_cosine_decay_by_formula(moment):
    expected = 1.0 if moment <= 0.6 else 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (moment - 0.6) / 0.4))
    assert CosineDecay()(moment) == (pytest.approx(expected), 1.0)


def test_cosine_decay_falls_all_the_way_and_never_rises():
    strengths = [CosineDecay(start=0.2, end=0.0)(step / 100).feature for step in range(101)]
    assert strengths == sorted(strengths, reverse=True)
    assert (strengths[0], strengths[-1]) == (1.0, 0.0)  # the two ends of the cosine


@pytest.mark.parametrize(
    ("moment", "feature", "output"),
    [(0.0, 1.0, 0.0), (0.299, 1.0, 0.0), (0.3, 1.0, 1.0), (0.65, 0.5, 1.0), (1.0, 0.0, 1.0)],
)
def test_features_first_then_outputs_while_features_fade(moment, feature, output):
    assert FeaturesFirst()(moment) == (pytest.approx(feature), output)  # half of the cosine at half of the way


def test_features_first_of_nothing_is_a_decay_from_the_start():
    assert FeaturesFirst(share=0.0)(0.0) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (WarmUp, {"share": 0.0}),
        (WarmUp, {"share": 1.5}),
        (CosineDecay, {"start": 1.0}),
        (CosineDecay, {"end": -0.1}),
        (FeaturesFirst, {"share": 1.0}),
    ],
)
def test_options_out_of_range_are_refused(cls, options):
    with pytest.raises(RecipeError, match=f"{cls.__name__} needs .* Found .*{next(iter(options.values()))}"):
        cls(**options)
