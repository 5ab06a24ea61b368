import gzip
import math
import pickle

import numpy as np
import pytest
import torch
from benchmarks.quality import measures
from benchmarks.quality.batches import mix
from benchmarks.quality.contenders import Range
from benchmarks.quality.judging import calibration_error
from benchmarks.quality.pairs import pairs
from benchmarks.quality.results import append, read
from benchmarks.quality.search import Search, extended
from benchmarks.quality.table import compute
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
    assert measures.accuracy_at(curve, 1000.0) == 90.0
    assert measures.accuracy_at(curve, 1e6) is None
    assert measures.accuracy_at(curve, 0.5) is None
    assert measures.compute_for(curve, 85.0) == pytest.approx(10.0)
    assert measures.compute_for(curve, 70.0) == 1.0
    assert math.isinf(measures.compute_for(curve, 90.1))


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
        {"kind": "trial", "contender": "x", "seconds": 2.0, "asked": 100},
        {"kind": "final", "contender": "x", "seconds": 3.0, "search_seconds": 1.0, "asked": 200},
    ]
    # Live: 3 + 200 * 0.01. Cached: 3 + 50 * 0.01; with searches also 1 of its own and the trial of 2.
    assert compute(rows, "x", samples=50, live=True, searches=False) == pytest.approx(5.0)
    assert compute(rows, "x", samples=50, live=False, searches=False) == pytest.approx(3.5)
    assert compute(rows, "x", samples=50, live=False, searches=True) == pytest.approx(6.5)


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
