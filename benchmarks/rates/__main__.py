"""Trains every rate of a wide grid for a quarter of the steps and for all of them, and the rate that limbeck says.

Run: python -m benchmarks.rates, about 40 minutes on one core; goes on where it was stopped, and prints the table. What
stands under ``accuracy`` is measured on samples that the student neither learnt from nor was selected by.
"""

import itertools
import statistics
from pathlib import Path

import numpy as np
import torch
from benchmarks.lines import append, read
from benchmarks.rates.pairs import Gru, ResNet, Transformer, perceptron
from mnist1d.data import get_dataset_args, make_dataset
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.demo import networks
from limbeck.sources import load_data

RESULTS = Path(__file__).parent / "results.jsonl"
RECIPES = ("soft-labels", "auto")
GRID = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)
RULE = "rule"


def trained(model, loader, steps, rate=3e-3):
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    while steps:
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            steps -= 1
            if not steps:
                break
    return model.eval()


def accuracy(model, x, y):
    with torch.no_grad():
        return (model.eval()(x).argmax(1) == y).float().mean().item()


def digits():
    """Five seeds of the demo's pair: its few digits to train and select with, its other training digits to judge by."""
    for seed in range(5):
        whole = load_data("digits", batch_size=64, seed=seed)
        few = load_data("digits", batch_size=32, seed=seed, options={"train": 100})
        torch.manual_seed(seed)
        teacher = trained(networks.teacher(), whole.train, 300)
        x, y = (torch.cat(each) for each in zip(*whole.train, strict=True))
        yield f"digits {seed}", seed, teacher, networks.student, few.train, few.validation, (x, y), (100, 400)


def series():
    """Four students on MNIST-1D with 1,000 labels, two seeds."""
    options = get_dataset_args()
    options.num_samples, options.train_split = 9000, 0.99999
    made = make_dataset(options)
    x = torch.tensor(np.asarray(made["x"]), dtype=torch.float32)[:, None]
    x, y = (x - x.mean()) / x.std(), torch.tensor(np.asarray(made["y"]))
    torch.manual_seed(0)
    teacher = trained(ResNet(32), DataLoader(TensorDataset(x[:5000], y[:5000]), batch_size=64, shuffle=True), 500)
    students = {"mlp": perceptron, "gru": Gru, "transformer": Transformer, "resnet": lambda: ResNet(6)}
    for seed in range(2):
        order = torch.randperm(5000, generator=torch.Generator().manual_seed(seed))
        train, held = (TensorDataset(x[part], y[part]) for part in (order[:1000], order[1000:1200]))
        train, held = DataLoader(train, batch_size=50, shuffle=True), DataLoader(held, batch_size=100)
        for name, make in students.items():
            yield f"{name} {seed}", seed, teacher, make, train, held, (x[5000:], y[5000:]), (150, 600)


def run():
    done = {(row["pair"], row["recipe"], row["steps"], row.get(RULE) or row["lr"]) for row in read(RESULTS)}
    for pair, seed, teacher, make, train, held, others, lengths in (*digits(), *series()):
        for recipe, steps in itertools.product(RECIPES, lengths):
            for lr in (*([RULE] if steps == max(lengths) else []), *GRID):
                if (pair, recipe, steps, lr) not in done:
                    torch.manual_seed(1000 + seed)
                    student = make()
                    given = {"recipe": recipe, "steps": steps, "seed": seed}
                    rate = {"search": False} if lr == RULE else {"lr": lr}
                    report = limbeck.distill(teacher, student, train, validation=held, progress=False,
                                             check_teacher=False, **given, **rate)  # fmt: skip
                    found = report.evaluation
                    append(RESULTS, {"pair": pair, **given, "lr": report.plan.training.lr, "validation": found.metric,
                         "loss": found.loss, "samples": found.samples, "accuracy": accuracy(student, *others),
                         **({RULE: RULE} if lr == RULE else {})})  # fmt: skip


def table():
    """What it costs to take a rate by each rule: points of accuracy below the best rate of the whole trainings.

    The best of eight trainings is partly luck: the rate that is best for the other seeds of the same student shows how
    much of it.
    """
    cells = {}
    for row in read(RESULTS):
        name = row.get(RULE) or row["lr"]
        cells.setdefault((row["pair"], row["recipe"]), {}).setdefault(row["steps"], {})[name] = row
    whole = {
        cell: lengths[max(lengths)] for cell, lengths in cells.items()
        if RULE in lengths[max(lengths)] and all(rate in each for rate in GRID for each in lengths.values())
    }  # fmt: skip
    costs, factors = {}, []
    for cell, accuracies in whole.items():
        short = cells[cell][min(cells[cell])]
        best = max(GRID, key=lambda rate: accuracies[rate]["accuracy"])
        picked = max(GRID, key=lambda rate: (short[rate]["validation"], -short[rate]["loss"]))
        rules = [("limbeck's", RULE), ("best of the short runs", picked), ("0.03", 3e-2)]
        alike = [each for other, each in whole.items() if _alike(other) == _alike(cell)]
        if others := [each for each in alike if each is not accuracies]:
            rules.append(("best for other seeds", max(GRID, key=lambda rate: sum(e[rate]["accuracy"] for e in others))))
        for name, rate in rules:
            costs.setdefault(name, []).append(100 * (accuracies[best]["accuracy"] - accuracies[rate]["accuracy"]))
        factors.append(accuracies[RULE]["lr"] / _peak([sum(e[rate]["accuracy"] for e in alike) for rate in GRID]))
    for name, found in costs.items():
        print(f"{name}: mean {statistics.mean(found):.2f}, worst {max(found):.1f} points, {len(found)} cells")
    near = [sum(1 / limit <= each <= limit for each in factors) for limit in (2, 3, 4)]
    print(f"limbeck's within a factor of 2, 3, 4 of where the mean over seeds peaks: {near} of {len(factors)}")


def _peak(heights):
    """Where a parabola through the highest point and its neighbours is highest, over the logarithm of the rate."""
    at = max(range(1, len(GRID) - 1), key=lambda place: heights[place])
    before, top, after = heights[at - 1 : at + 2]
    offset = (before - after) / (before - 2 * top + after) / 2
    return GRID[at] * (GRID[at + 1] / GRID[at]) ** offset


def _alike(cell):
    pair, recipe = cell
    return pair.split()[0], recipe


if __name__ == "__main__":
    torch.set_num_threads(1)
    run()
    table()
