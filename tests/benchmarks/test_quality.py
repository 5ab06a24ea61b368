import gzip
import math
import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from benchmarks.quality import measures
from benchmarks.quality.batches import flipped, mix
from benchmarks.quality.check import check
from benchmarks.quality.contenders import Range, contenders
from benchmarks.quality.data import Missing, load
from benchmarks.quality.judging import calibration_error
from benchmarks.quality.page import markdown
from benchmarks.quality.pairs import pairs
from benchmarks.quality.plan import FULL, parts
from benchmarks.quality.results import append, read
from benchmarks.quality.search import Search, extended
from benchmarks.quality.summary import summarise
from benchmarks.quality.table import compute, curve
from benchmarks.quality.training import Case
from benchmarks.quality.unpickling import read_array


def test_differences_are_paired_by_seed():
    assert measures.paired({0: 90.0, 1: 92.0, 2: 93.0}, {2: 91.0, 1: 91.5}) == [0.5, 2.0]


def test_inferiority_is_the_one_sided_t_test():
    # Mean 0.5, deviation 1, so t = (0.5 + 0.5) / (1 / sqrt(3)) = 1.732 at 2 degrees of freedom, where the t
    # distribution has the closed form P(T > t) = 1/2 - t / (2 sqrt(2 + t^2)) = 1/2 - 1.7321 / (2 * 2.2361) = 0.1127.
    assert measures.inferiority([-0.5, 0.5, 1.5]) == pytest.approx(0.1127, abs=1e-4)
    assert measures.inferiority([0.0, 0.0]) == 0.0
    assert measures.inferiority([-0.5, -0.5]) == 1.0
    assert measures.inferiority([1.0]) is None


def test_holm_stops_at_the_first_that_does_not_hold():
    # Thresholds 0.05/3 = 0.0167, 0.025, 0.05: 0.03 fails the second, so 0.04 does not hold either.
    assert measures.holm({"c": 0.04, "a": 0.01, "b": 0.03}) == {"c": False, "a": True, "b": False}


def test_regret_is_measured_on_seeds_that_did_not_name_the_winner():
    scores = {"own": {0: 80.0, 1: 80.0, 2: 80.0, 3: 80.0}, "lucky": {0: 90.0, 1: 90.0, 2: 79.0, 3: 79.0}}
    assert measures.regret(scores, "own") == measures.Regret("lucky", 79.0, -1.0)


def test_curves_are_read_both_ways():
    curve = [(1.0, 80.0), (100.0, 90.0), (1000.0, 85.0)]
    assert measures.accuracy_at(curve, 10.0) == pytest.approx(85.0)
    assert measures.accuracy_at(curve, 1000.0) == 85.0
    assert measures.accuracy_at(curve, 1e6) == 85.0
    assert measures.accuracy_at(curve, 0.5) is None
    # From 10 on it never falls below 85; 86 it reaches and loses again.
    assert measures.compute_for(curve, 85.0) == pytest.approx(10.0)
    assert measures.compute_for(curve, 70.0) == 1.0
    assert math.isinf(measures.compute_for(curve, 86.0))


def test_the_bootstrap_draws_data_sets_first():
    # One data set of many pairs and one of a single one: each draw is (0, 0), (0, 4), (4, 0) or (4, 4).
    found = measures.bootstrapped([("a", 0.0)] * 3 + [("b", 4.0)])
    assert found == measures.Interval(1.0, 0.0, 4.0)
    assert measures.bootstrapped([]) is None


def test_calibration_error_by_hand():
    # Both in the bin of 0.9, one right: |0.9 + 0.9 - 1| / 2 = 0.4.
    assert calibration_error(torch.tensor([0.9, 0.9]), torch.tensor([True, False])) == pytest.approx(40.0, abs=1e-4)


def test_compute_counts_the_teacher_as_it_was_used():
    rows = [
        {"kind": "teacher", "contender": None, "accuracy": 90.0, "seconds_a_sample": 0.01},
        {"kind": "trial", "contender": "x", "parameters": {"rate": 0.1}, "seconds": 2.0, "asked": 100},
        {"kind": "final", "contender": "x", "seconds": 3.0, "search_seconds": 1.0, "asked": 200},
    ]
    # Live: 3 + 200 * 0.01. Cached: 3 + 50 * 0.01; with searches also 1 of its own and the trial of 2.
    assert compute(rows, "x", samples=50, live=True, searches=False) == pytest.approx(5.0)
    assert compute(rows, "x", samples=50, live=False, searches=False) == pytest.approx(3.5)
    assert compute(rows, "x", samples=50, live=False, searches=True) == pytest.approx(6.5)


def _runs(contender, *, accuracy, final, trial=None, rule=0.0):
    """Rows of a trial, if there is a search, and of two final runs."""
    cost = {"search_seconds": rule, "asked": 0}
    parameters = {} if trial is None else {"rate": 0.1}
    trials = [{"kind": "trial", "parameters": parameters, "validation": accuracy, "seconds": trial or final, **cost}]
    finals = [
        {"kind": "final", "seed": seed, "accuracy": accuracy, "calibration_error": None, "seconds": final, **cost}
        for seed in (0, 1)
    ]
    return [{"contender": contender, **row} for row in trials + finals]


def _rows():
    """A pair whose teacher costs nothing; the default's rule for the rate takes 0.5 seconds and no trial."""
    return [
        {"kind": "teacher", "contender": None, "accuracy": 99.0, "seconds_a_sample": 0.0},
        *_runs("strongest plain, 1x", accuracy=75.0, trial=6.0, final=3.0),
        *_runs("limbeck default, 0.25x", accuracy=60.0, final=1.5, rule=0.5),
        *_runs("limbeck default, 0.5x", accuracy=70.0, final=5.5, rule=0.5),
        *_runs("limbeck default", accuracy=80.0, final=15.5, rule=0.5),
        *_runs("limbeck default, 3x", accuracy=80.0, final=47.5, rule=0.5),
    ]


def test_a_default_of_every_length_costs_its_run_and_its_rule():
    assert curve(_rows(), samples=100, searches=False) == [(1.5, 60.0), (5.5, 70.0), (15.5, 80.0), (47.5, 80.0)]
    assert curve(_rows(), samples=100, searches=True) == [(2.0, 60.0), (6.0, 70.0), (16.0, 80.0), (48.0, 80.0)]


def test_headline_numbers_include_the_searches():
    pair = next(each for each in pairs() if each.name == "series-mlp")
    found = summarise({pair: _rows()})
    # The plain side costs 3 + 6 = 9 and reaches 75. The default lies at 9 between 6 (70) and 16 (80):
    # 70 + 10 * ln(9/6) / ln(16/6) = 74.134; it reaches 75 halfway in the logarithm, at sqrt(6 * 16) = 9.798.
    assert found["gain_at_equal_compute"]["1"] == pytest.approx(74.134 - 75.0, abs=1e-3)
    assert found["gain_at_equal_compute_details"]["1"]["low"] == found["gain_at_equal_compute"]["1"]
    assert found["compute_to_match"]["1"] == pytest.approx(9.798 / 9.0, abs=1e-3)
    assert found["compute_to_match_details"]["1"]["median"] == found["compute_to_match"]["1"]
    # Without searches 3, between 1.5 (60) and 5.5 (70): 60 + 10 * ln(3/1.5) / ln(5.5/1.5) = 65.335; and 75 halfway
    # between 5.5 and 15.5: sqrt(5.5 * 15.5) / 3 = 3.078.
    assert found["gain_at_equal_compute_without_searches"]["1"]["mean"] == pytest.approx(-9.665, abs=1e-3)
    assert found["compute_to_match_without_searches"]["1"]["median"] == pytest.approx(3.078, abs=1e-3)
    page = markdown(found)
    assert "| 1x | -0.9 (-0.9 to -0.9) | -9.7 (-9.7 to -9.7) | 1.09 | 3.08 |" in page


def test_a_null_has_its_reason():
    pair = next(each for each in pairs() if each.name == "series-mlp")
    rows = [row for row in _rows() if row["contender"] not in {"limbeck default", "limbeck default, 3x"}]
    found = summarise({pair: rows})
    # More compute than that of the longest run helps nobody: it stays at 70, below 75.
    assert found["gain_at_equal_compute"]["1"] == pytest.approx(-5.0)
    assert found["compute_to_match"]["1"] is None
    assert "does not reach" in found["null_because"]["compute_to_match.1"]
    assert "not all of the runs" in found["null_because"]["compute_to_match.10"]
    assert found["pairs"][0]["limbeck"] is None
    assert "no final runs" in found["null_because"]["pairs.limbeck"]
    dearer = [row for row in _rows() if row["contender"] not in {"limbeck default, 0.25x", "limbeck default, 0.5x"}]
    assert "less compute than the shortest" in summarise({pair: dearer})["null_because"]["gain_at_equal_compute.1"]


def test_every_contender_with_anything_to_search_searches_its_rate():
    for contender in contenders():
        own = contender.ruled or contender.automatic
        assert own == (not contender.space)
        assert own or "rate" in contender.space


def test_teachers_that_are_trained_differently_have_different_names():
    pair = next(each for each in pairs() if each.name == "animals-cnn")
    trained = pair.teacher
    other = [
        replace(pair, teacher=replace(trained, **change))
        for change in ({"rate": 1e-2}, {"batch": 32}, {"steps": 7}, {"seed": 1}, {"samples": 9},
                       {"build": partial(trained.build, width=8)}, {"build": partial(trained.build, blocks=1)})
    ]  # fmt: skip
    other += [replace(pair, augment=flipped), replace(pair, data="digits"), replace(pair, samples=1_000)]
    assert len({each.teacher_name for each in [pair, *other]}) == len(other) + 1
    assert replace(pair, name="other", steps=1).teacher_name == pair.teacher_name


def test_parts_hold_every_cell_once_and_take_at_most_two_hours():
    cells = FULL.cells()
    found = parts(cells)
    assert [cell for part in found for cell in part.cells] == cells
    assert max(part.seconds for part in found) <= 2 * 3600
    assert sum(part.seconds for part in found) <= 20 * 3600
    assert len({cell.trials for cell in cells if cell.contender is not None}) == 1


_SLICE = ("series-mlp", "animals-cnn-augmented", "digits-mlp", "reviews-bag", "glosses-unlabelled")
_FAST = ("alone", "soft labels", "soft labels and mixup", "LSKD", "AT, tuned", "limbeck default")
# What has no meaning: tokens that are mixed, labels where there are none, two logits
# that are standardised, and positions of a bag of words.
_NOT_APPLICABLE = {
    "reviews-bag": {"soft labels and mixup", "LSKD", "AT, tuned"},
    "glosses-unlabelled": {"alone", "soft labels and mixup"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", _SLICE)
def test_contenders_run_on_a_pair_of_every_data_set(name, tmp_path):
    pair = next(each for each in pairs() if each.name == name)
    try:
        load(pair.data)
    except Missing as error:
        pytest.skip(str(error))
    assert check(pair, _FAST, tmp_path) == {}
    rows = read(tmp_path, name)
    assert {row["contender"] for row in rows if row["kind"] == "n/a"} == _NOT_APPLICABLE.get(name, set())
    finished = {row["contender"] for row in rows if row["kind"] == "final"}
    assert finished == set(_FAST) - _NOT_APPLICABLE.get(name, set())
    assert all("validation" in row for row in rows if row["kind"] == "trial")


def test_a_contender_that_fails_is_not_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(Case, "train", lambda *_, **__: 1 / 0)
    pair = next(each for each in pairs() if each.name == "digits-mlp")
    assert "ZeroDivisionError" in check(pair, ["alone"], tmp_path)["alone"]


def test_ranges_follow_the_best_to_their_edge_and_no_further():
    space = {"alpha": Range(0.1, 1.0, 0.5, most=1.0), "rate": Range(1e-3, 1e-1, 1e-2)}
    found = extended(space, [({"alpha": 1.0, "rate": 0.1}, 0.9)])
    assert found["alpha"].high == 1.0
    assert found["rate"].high == pytest.approx(1.0)


def test_a_search_taken_up_again_goes_on_as_it_would_have():
    search = Search({"rate": Range(1e-3, 1e-1, 1e-2), "mixed": (False, True)}, 6, seed=0)
    done = []
    for value in (0.5, 0.9, 0.7, 0.6):
        done.append((search.next(done), value))
    assert done[0][0] == {"rate": 1e-2, "mixed": False}
    assert Search(search.space, 6, seed=0).next(done) == search.next(done)


def test_mixed_samples_have_no_label():
    inputs, shares = mix(torch.arange(6.0).view(6, 1), torch.eye(6))
    assert torch.equal(inputs[:3], torch.arange(3.0).view(3, 1))
    assert shares.sum(1).tolist() == [1, 1, 1, 0, 0, 0]


def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    append(tmp_path, {"pair": "a", "seed": 1})
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write('{"pair": "a", "se')
    assert read(tmp_path) == [{"pair": "a", "seed": 1}]


class _Harmful:
    def __reduce__(self):
        return print, ("run",)


def test_a_pickle_of_anything_but_arrays_is_refused(tmp_path):
    good, bad = tmp_path / "good.gz", tmp_path / "bad.gz"
    good.write_bytes(gzip.compress(pickle.dumps(np.arange(3))))
    bad.write_bytes(gzip.compress(pickle.dumps(_Harmful())))
    assert read_array(good).tolist() == [0, 1, 2]
    with pytest.raises(pickle.UnpicklingError, match="arrays only"):
        read_array(bad)


def test_the_pairs_are_those_that_the_benchmark_promises():
    main = [pair for pair in pairs() if pair.role == "main"]
    check = [pair for pair in main if pair.check]
    assert len(main) >= 12
    assert len({pair.data for pair in main}) >= 4
    assert len(check) >= 5
    assert len({pair.data for pair in check}) >= 2
    assert min(sum(pair.family for pair in main), sum(not pair.family for pair in main)) >= 4
    assert 2 * sum(pair.own_data for pair in main) >= len(main)
    assert sum(pair.augment is not None for pair in main) >= 2
    assert sum(not pair.labels for pair in main) == 1
