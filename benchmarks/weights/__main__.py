"""Trains the default with other weights and other output losses on development pairs of the quality benchmark.

Run: OMP_NUM_THREADS=1 python -m benchmarks.weights, about 20 minutes on one core; goes on where it was stopped, and
prints the table. Judged on validation data, two seeds, each cell at the best of three rates; weight 0 is the output
loss alone.
"""

import itertools
import statistics
from pathlib import Path

import torch
from benchmarks.lines import append, read
from benchmarks.quality.contenders import Contender
from benchmarks.quality.pairs import named
from benchmarks.quality.training import Case

from limbeck import Recipe

RESULTS = Path(__file__).with_name("results.jsonl")
PAIRS = ("animals-mlp", "digits-mlp", "animals-cnn", "series-cnn", "series-mlp")
WEIGHTS, RATES, SEEDS = (0, 1, 3, 10), (3e-3, 1e-2, 3e-2), (100, 101)
LABELS = {"loss": {"kind": "CrossEntropy"}}


def softened(temperature):
    soft = {"kind": "SoftLabels", "temperature": temperature}
    return [{**LABELS, "share": 0.5}, {"loss": soft, "share": 0.5}]


OUTPUTS = {"labels": [LABELS], "half T=4": softened(4.0), "half T=2": softened(2.0)}


def contender(weight, outputs):
    base = Recipe.load("auto").model_dump(mode="json", exclude={"name", "reasons", "summary"}, exclude_none=True)
    changed = {"outputs": OUTPUTS[outputs], "balancer": {"kind": "Fixed", "feature": weight, "output": 1}}
    features = {} if weight else {"features": []}
    return Contender(f"{weight} {outputs}", "limbeck", lambda _: {**base, **changed, **features})


def run():
    done = {tuple(row[key] for key in ("pair", "weight", "outputs", "rate", "seed")) for row in read(RESULTS)}
    for name in PAIRS:
        case = Case.of(*named([name]))
        for weight, outputs, rate, seed in itertools.product(WEIGHTS, OUTPUTS, RATES, SEEDS):
            if (name, weight, outputs, rate, seed) not in done:
                trained = case.train(contender(weight, outputs), {"rate": rate}, seed=seed, final=False)
                row = {"pair": name, "weight": weight, "outputs": outputs, "rate": rate, "seed": seed}
                append(RESULTS, {**row, "validation": round(trained.judged.accuracy, 4)})


def table():
    """The best rate of every weight and output loss, by pair and as a mean."""
    cells = {}
    for row in read(RESULTS):
        key = (row["weight"], row["outputs"], row["pair"], row["rate"])
        cells.setdefault(key, []).append(row["validation"])
    for weight, outputs in itertools.product(WEIGHTS, OUTPUTS):
        best = {}
        for pair in PAIRS:
            found = [statistics.mean(cells[weight, outputs, pair, rate]) for rate in RATES
                     if (weight, outputs, pair, rate) in cells]  # fmt: skip
            if found:
                best[pair] = max(found)
        shown = ", ".join(f"{pair} {each:.1f}" for pair, each in best.items())
        print(f"weight {weight:2d}, {outputs:8s}: mean {statistics.mean(best.values()):.2f} ({shown})")


if __name__ == "__main__":
    torch.set_num_threads(1)
    run()
    table()
