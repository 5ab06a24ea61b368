"""Teachers: trained once, kept, and what they say of the student's data kept too."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmarks.quality.batches import Batches
from benchmarks.quality.data import DataSet, Samples
from benchmarks.quality.judging import judge
from benchmarks.quality.pairs import Pair
from safetensors.torch import load_model, save_model
from torch import nn

from limbeck import Batch, Teacher
from limbeck.balancers import Fixed
from limbeck.batch import KnownLogits
from limbeck.capture import Captured
from limbeck.distiller import Distiller
from limbeck.features import Feature
from limbeck.links import FeatureSpec
from limbeck.outputs import CrossEntropy
from limbeck.training.length import Length
from limbeck.training.trainer import Trainer
from limbeck.whole_file import whole_file

_LOGITS = "logits"
_AT_ONCE = 250
_UNSEEN = 2_000


def teacher_of(pair: Pair, data: DataSet, cache: Path) -> nn.Module:
    """The pair's teacher, trained if it was not before."""
    trained = pair.teacher
    file = cache / "teachers" / f"{pair.teacher_name}.safetensors"
    torch.manual_seed(trained.seed)
    model = trained.build()
    if file.is_file():
        load_model(model, str(file))
        return model.eval()
    file.parent.mkdir(parents=True, exist_ok=True)
    seen = torch.arange(trained.samples or pair.samples)
    batches = Batches(data.pool.at(seen), seen, size=trained.batch, seed=trained.seed, augment=pair.augment)
    distiller = Distiller(model, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
    length = Length.of(trained.settings, len(batches), validated=False)
    Trainer(distiller, None, settings=trained.settings, lr=trained.rate, length=length, label=None).fit(batches)
    distiller.close()
    with whole_file(file) as place:
        save_model(model, str(place), metadata={"training": json.dumps(pair.teacher_facts)})
    return model.eval()


def unseen_accuracy(model: nn.Module, pair: Pair, data: DataSet) -> float | None:
    """Accuracy of a teacher on up to 2,000 samples that neither side is trained with; ``None`` if there are none."""
    first = max(pair.samples, pair.teacher.samples or 0)
    places = torch.arange(first, min(len(data.pool), first + _UNSEEN))
    return judge(model, data.pool.at(places)).accuracy if len(places) else None


class StoredTeacher:
    """What a teacher says of samples that are known by number, computed once and read from disk.

    Args:
        model: the teacher.
        samples: all of the student's data.
        folder: of the files, for this teacher and this data only.
        sites: what is read.
    """

    def __init__(self, model: nn.Module, samples: Samples, folder: Path, sites: Sequence[FeatureSpec]) -> None:
        self.sites = {spec.site: spec for spec in sites}
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        missing = [each for each in (_LOGITS, *self.sites) if not self._file(each).is_file()]
        if missing:
            self._fill(model, samples, missing)
        self._stored = {each: np.load(self._file(each), mmap_mode="r") for each in (_LOGITS, *self.sites)}

    def __call__(self, batch: Batch) -> Captured:
        """The teacher's side of a batch."""
        places = np.zeros(0, np.int64) if batch.keys is None else batch.keys[:, 0].numpy()
        values = {name: torch.from_numpy(np.asarray(each[places])).float() for name, each in self._stored.items()}
        output = KnownLogits(values.pop(_LOGITS))
        return Captured(output, {name: self._feature(name, x, batch) for name, x in values.items()}, {})

    def _feature(self, site: str, x: torch.Tensor, batch: Batch) -> Feature:
        spec, mask = self.sites[site], batch.mask
        mask = mask if mask is not None and mask.shape == x.shape[:2] else None
        return Feature(x, spec.grid, spec.prefix, mask, spec.summary)

    def _fill(self, model: nn.Module, samples: Samples, missing: Sequence[str]) -> None:
        kept: dict[str, list[Any]] = {name: [] for name in missing}
        with Teacher(model, [self.sites[name] for name in missing if name != _LOGITS]) as live:
            for batch in Batches(samples, torch.arange(len(samples)), size=_AT_ONCE, seed=None):
                said = live(batch)
                for name in missing:
                    value = said.output if name == _LOGITS else said.features[name].x
                    kept[name].append(value.float().numpy().astype(np.float32 if name == _LOGITS else np.float16))
        for name, values in kept.items():
            with whole_file(self._file(name)) as place, place.open("wb") as file:
                np.save(file, np.concatenate(values))

    def _file(self, name: str) -> Any:
        return self._folder / f"{name.replace(':', '-')}.npy"


def seconds_a_sample(model: nn.Module, batch: Batch) -> float:
    """What the teacher takes for one sample, measured on batches of the student's size."""
    with Teacher(model) as live:
        live(batch)
        times = []
        for _ in range(4):
            before = time.process_time()
            live(batch)
            times.append(time.process_time() - before)
    return float(np.median(times)) / batch.size
