"""An epoch of a ResNet-18 whose augmented images a ResNet-34 has seen before: its features are read from disk."""

from __future__ import annotations

import os
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from benchmarks.speed.case import CLIP, FEATURE_WEIGHT, RATE, Case, Hooks
from benchmarks.speed.pairs import CLASSES, pairs
from benchmarks.speed.rounds import Ratio
from benchmarks.speed.systems import FIXED
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

import limbeck
from limbeck.batch import adapt_batch
from limbeck.cache import Cache, CachedTeacher, DataOrigin, Form, Origin, keyed_loader
from limbeck.cache.keyed import AdaptKeyed
from limbeck.choice import Choice
from limbeck.recipe.settings import Settings
from limbeck.training.accelerating import make_accelerator
from limbeck.training.length import Length
from limbeck.training.trainer import Trainer

_VIEWS = 2
_PAD = 4


class Images(Dataset[tuple[Tensor, int]]):
    """Random images, cropped and flipped at random."""

    def __init__(self, count: int, size: int) -> None:
        self.images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8)
        self.labels = torch.randint(CLASSES, (count,)).tolist()
        self.size = size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        padded = F.pad(self.images[index].float().div_(127.5).sub_(1.0).unsqueeze(0), (_PAD,) * 4, mode="reflect")[0]
        top, left, flipped = torch.randint(2 * _PAD + 1, (3,)).tolist()
        image = padded[:, top : top + self.size, left : left + self.size]
        return (image.flip(-1) if flipped % 2 else image).contiguous(), self.labels[index]


def cached_epoch(*, quick: bool) -> dict[str, Any]:
    """Epochs with the cache over the student's own with the same terms, and the first one with a cold file cache."""
    pair = next(each for each in pairs(quick=quick) if each.name.startswith("ResNet"))
    case = Case(pair, steps=2)
    images = Images(pair.batch_size * (2 if quick else 8), size=case.inputs.shape[-1])
    loader = DataLoader(images, batch_size=pair.batch_size, shuffle=True)
    with tempfile.TemporaryDirectory(prefix="limbeck-speed-") as folder:
        cached, alone = _Cached(case, loader, folder), _Alone(case, loader)
        cached.fill()
        alone.read()
        dropped = _drop(Path(folder))
        rows = []
        for repeat in range(1 if quick else 4):
            first, second = (cached, alone) if repeat % 2 == 0 else (alone, cached)
            times = {each: each.epoch() for each in (first, second)}
            rows.append((*times[cached], *times[alone]))
    table = torch.tensor(rows).numpy()
    ratio, wall = Ratio.of(table[:, 1], table[:, 3]), Ratio.of(table[:, 0], table[:, 2])
    return {
        "ratio": ratio.median, "quartiles": [ratio.low, ratio.high], "wall_ratio": wall.median,
        "first_wall_ratio": round(rows[0][0] / rows[0][2], 4), "first_ratio": round(rows[0][1] / rows[0][3], 4),
        "file_cache_dropped": dropped, "samples": len(images), "views": _VIEWS,
        "bytes_per_view": cached.source.bytes_per_sample,
    }  # fmt: skip


class _Cached:
    """limbeck's trainer on a cached teacher."""

    def __init__(self, case: Case, loader: DataLoader[Any], folder: str) -> None:
        self.plan = case.plan(FIXED)
        self.distiller = case.distiller(self.plan)
        self.loader = keyed_loader(loader, views=_VIEWS)
        self.adapt = AdaptKeyed(adapt_batch)
        self.settings = Settings(lr=RATE, epochs=1)
        self.accelerator = make_accelerator(self.settings, "cpu")
        sites = self.plan.teacher_sites
        origin = Origin("teacher", "weights", {"training": DataOrigin("data", len(loader.dataset), _VIEWS)}, "float16")
        live = limbeck.Teacher(case.teacher, sites)
        forms = [Form(each.site) for each in sites]
        self.source = CachedTeacher(live, Cache(folder, origin), sites=sites, forms=forms)
        self.source.fit([self.adapt(next(iter(self.loader)))])

    def fill(self) -> None:
        """Let the teacher see every view of every sample."""
        for view in range(_VIEWS):
            self.loader.dataset.set_epoch(view)
            for raw in self.loader:
                self.source(self.adapt(raw))
        self.source.close()

    def epoch(self) -> tuple[float, float]:
        """Seconds of an epoch, on the clock and of the processor."""
        # One step more, so that what an epoch ends with counts, and what a training begins and ends with does not.
        steps, times = len(self.loader), []

        def adapt(raw: Any) -> limbeck.Batch:
            times.append((time.perf_counter(), time.process_time()))
            return self.adapt(raw)

        length = Length(steps + 1, 50, None, Choice("steps", steps + 1, "given"))
        trainer = Trainer(
            self.distiller, self.source, settings=self.settings, lr=RATE, length=length, adapt=adapt,
            accelerator=self.accelerator, label=None,
        )  # fmt: skip
        trainer.fit(self.loader)
        return _passed(times)


class _Alone:
    """A plain loop on the same batches, with the teacher's standardised features in memory."""

    def __init__(self, case: Case, loader: DataLoader[Any]) -> None:
        self.case, self.loader = case, keyed_loader(loader, views=_VIEWS)
        self.student, self.projectors = case.new_student(), case.projectors()
        self.mine = Hooks(self.student, [link[0] for link in case.pair.links])
        self.learnt = [*self.student.parameters(), *self.projectors.parameters()]
        self.known: list[Tensor] = []

    def read(self) -> None:
        """Let the teacher see every view of every sample, and hold what the student is to predict."""
        adapt, places = AdaptKeyed(adapt_batch), []
        found: list[list[Tensor]] = [[] for _ in self.case.pair.links]
        for view in range(_VIEWS):
            self.loader.dataset.set_epoch(view)
            for batch in map(adapt, self.loader):
                places.append(self._places(batch.keys))
                features = self.case.teacher_features(batch.inputs)
                for each, feature, (mean, deviation) in zip(found, features, self.case.targets, strict=True):
                    each.append((feature - mean) / deviation)
        order = torch.cat(places).argsort()
        self.known = [torch.cat(each)[order] for each in found]

    def epoch(self) -> tuple[float, float]:
        """Seconds of an epoch, on the clock and of the processor."""
        optimizer, times = torch.optim.AdamW(self.learnt, lr=RATE, fused=True), []
        for number, raw in enumerate(chain(self.loader, self.loader)):
            times.append((time.perf_counter(), time.process_time()))
            if number == len(self.loader):
                break
            inputs, labels = raw.raw
            places = self._places(raw.keys)
            loss = F.cross_entropy(self.student(inputs), labels)
            for (mine, *_), projector, known in zip(self.case.pair.links, self.projectors, self.known, strict=True):
                loss = loss + FEATURE_WEIGHT * F.mse_loss(projector(self.mine.seen[mine]), known[places])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.learnt, CLIP)
            optimizer.step()
        return _passed(times)

    def _places(self, keys: Tensor) -> Tensor:
        sample, view = keys.unbind(1)
        return view * len(self.loader.dataset) + sample


def _passed(times: list[tuple[float, float]]) -> tuple[float, float]:
    (wall, cpu), (later, more) = times[0], times[-1]
    return later - wall, more - cpu


def _drop(folder: Path) -> bool:
    """Let the system forget what it holds of the files, so that they are read from the disk; whether it can."""
    files = list(folder.rglob("*.rows"))
    if not (files and hasattr(os, "posix_fadvise")):
        return False
    os.sync()
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True
