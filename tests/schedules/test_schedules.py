import math

import pytest

from limbeck.errors import RecipeError
from limbeck.schedules import Constant, CosineDecay, CrossFade, FeaturesFirst, LinearDecay, StopEarly, WarmUp


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


@pytest.mark.parametrize(("moment", "feature"), [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.6, 1.0), (1.0, 0.1)])
def test_cosine_decay_may_begin_with_a_rise(moment, feature):
    assert CosineDecay(rise=0.1)(moment) == (pytest.approx(feature), 1.0)  # progress over 0.1, then as without


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


@pytest.mark.parametrize("moment", [0.0, 0.2, 0.3, 0.65, 1.0])
def test_linear_decay_by_formula(moment):
    assert LinearDecay()(moment) == (pytest.approx(1 - moment), 1.0)
    expected = 1.0 if moment <= 0.3 else 1 - 0.8 * (moment - 0.3) / 0.7
    assert LinearDecay(start=0.3, end=0.2)(moment) == (pytest.approx(expected), 1.0)


@pytest.mark.parametrize(
    ("moment", "output"), [(0.0, 0.0), (0.2, 0.0), (0.3, 0.25), (0.4, 0.5), (0.6, 1.0), (1.0, 1.0)]
)
def test_cross_fade_gives_to_the_outputs_what_it_takes_from_the_features(moment, output):
    # A line from 0 at 0.2 to 1 at 0.6.
    assert CrossFade(start=0.2, end=0.6)(moment) == (pytest.approx(1 - output), pytest.approx(output))


def test_outputs_are_judged_from_where_the_cross_fade_starts():
    assert CrossFade(start=0.2).outputs_from == 0.2


@pytest.mark.parametrize(("moment", "feature"), [(0.0, 1.0), (0.399, 1.0), (0.4, 0.0), (1.0, 0.0)])
def test_features_stop_early(moment, feature):
    assert StopEarly(share=0.4)(moment) == (feature, 1.0)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (CrossFade, {"start": 1.0}),
        (CrossFade, {"end": 0.0}),
        (LinearDecay, {"start": 1.0}),
        (LinearDecay, {"end": -0.1}),
        (StopEarly, {"share": 0.0}),
        (StopEarly, {"share": 1.5}),
        (WarmUp, {"share": 0.0}),
        (WarmUp, {"share": 1.5}),
        (CosineDecay, {"start": 1.0}),
        (CosineDecay, {"rise": 0.7}),
        (CosineDecay, {"end": -0.1}),
        (FeaturesFirst, {"share": 1.0}),
    ],
)
def test_options_out_of_range_are_refused(cls, options):
    with pytest.raises(RecipeError, match=f"{cls.__name__} needs .* Found .*{next(iter(options.values()))}"):
        cls(**options)
