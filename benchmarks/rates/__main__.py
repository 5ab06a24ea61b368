"""Trains every rate of the grid for a quarter of the steps and for all of them, and asks which rule picks best.

Run: python -m benchmarks.rates, about 40 minutes on one core; goes on where it was stopped, and prints the table. What
stands under ``accuracy`` is measured on samples that the student neither learnt from nor was selected by.
"""

import json
import statistics
from pathlib import Path

import numpy as np
import torch
from benchmarks.rates.pairs import Gru, ResNet, Transformer, perceptron
from mnist1d.data import get_dataset_args, make_dataset
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import limbeck
from limbeck.demo import networks
from limbeck.search.rates import GRID, RateSearch
from limbeck.sources import load_data
from limbeck.training.evaluation import Evaluation
from limbeck.training.length import Length

RESULTS = Path(__file__).parent / "results.jsonl"
RECIPES = ("soft-labels", "auto")


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
    done = {(row["pair"], row["recipe"], row["steps"], row["lr"]) for row in rows()}
    for pair, seed, teacher, make, train, held, others, lengths in (*digits(), *series()):
        for recipe in RECIPES:
            for steps in lengths:
                for lr in GRID:
                    if (pair, recipe, steps, lr) not in done:
                        torch.manual_seed(1000 + seed)
                        student = make()
                        given = {"recipe": recipe, "steps": steps, "lr": lr, "seed": seed}
                        report = limbeck.distill(teacher, student, train, validation=held, progress=False,
                                                 check_teacher=False, **given)  # fmt: skip
                        found = report.evaluation
                        add({"pair": pair, **given, "validation": found.metric, "loss": found.loss,
                             "samples": found.samples, "accuracy": accuracy(student, *others)})  # fmt: skip


def rows():
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def add(row):
    with RESULTS.open("a") as file:
        file.write(json.dumps(row) + "\n")


def table():
    """What each rule costs: points of accuracy below the best rate of the whole trainings."""
    cells = {}
    for row in rows():
        cells.setdefault((row["pair"], row["recipe"]), {}).setdefault(row["steps"], {})[row["lr"]] = row
    search = RateSearch(limbeck.Recipe().training, Length.of(limbeck.Recipe().training, 1))
    rules = {
        "highest score": lambda found: max(found, key=lambda lr: (found[lr].metric, -found[lr].loss)),
        "lowest loss": lambda found: min(found, key=lambda lr: found[lr].loss),
        "half own, half neighbours'": lambda found: search._chosen(found)[0],
    }
    for name, rule in rules.items():
        regrets = []
        for lengths in (each for each in cells.values() if [len(rates) for rates in each.values()] == [len(GRID)] * 2):
            short, whole = lengths[min(lengths)], lengths[max(lengths)]
            found = {lr: Evaluation(each["validation"], each["loss"], 1) for lr, each in short.items()}
            best = max(each["accuracy"] for each in whole.values())
            regrets.append(100 * (best - whole[rule(found)]["accuracy"]))
        print(f"{name}: mean {statistics.mean(regrets):.2f}, worst {max(regrets):.1f} points, {len(regrets)} cells")


if __name__ == "__main__":
    torch.set_num_threads(1)
    run()
    table()
