"""The loops that are compared: by hand, the student alone, and limbeck's."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from benchmarks.speed.case import CLIP, FEATURE_WEIGHT, RATE, Case, Hooks
from benchmarks.speed.ticking import Clock, Durations
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import limbeck
from limbeck.batch import adapt_batch
from limbeck.cache import Cache, CachedTeacher, DataOrigin, Form, Origin, keyed_loader
from limbeck.cache.keyed import AdaptKeyed
from limbeck.choice import Choice
from limbeck.recipe.settings import Settings
from limbeck.teachers import FeatureSource
from limbeck.training.accelerating import make_accelerator
from limbeck.training.length import Length
from limbeck.training.trainer import Trainer

FIXED = {"kind": "Fixed", "feature": FEATURE_WEIGHT, "output": 1.0}


class NotApplicable(Exception):
    """A system cannot do what a pair asks; says why."""


class System(ABC):
    """Something that distils a pair, built once and then run pass by pass.

    Attributes:
        name: in the table.

    Raises:
        NotApplicable: when it is built, if it cannot do the pair.
    """

    name: ClassVar[str]

    def __init__(self, case: Case) -> None:
        self.case, self.clock = case, Clock()
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Build everything that a training has."""

    @abstractmethod
    def train(self) -> None:
        """Train for one pass over the data."""

    def run(self) -> Durations:
        """One pass, timed."""
        self.train()
        return self.clock.read()


class Bare(System):
    """What somebody writes who knows how: hooks, 1x1 projectors, frozen standardisation, one backward pass."""

    name = "bare"
    clip: ClassVar[bool] = True

    def prepare(self) -> None:
        case = self.case
        self.student, self.projectors, self.targets = case.new_student(), case.projectors(), case.targets
        self.mine = Hooks(self.student, [link[0] for link in case.pair.links])
        self.theirs = Hooks(case.teacher, [link[1] for link in case.pair.links])
        self.learnt = [*self.student.parameters(), *self.projectors.parameters()]
        self.optimizer = torch.optim.AdamW(self.learnt, lr=RATE, fused=True)

    def train(self) -> None:
        for inputs, labels in self.case.loader(self.clock):
            with torch.no_grad():
                self.case.teacher(inputs)
            self.step(self.loss(self.student(inputs), labels))

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy and ten times the sum of the links' errors."""
        error = torch.zeros(())
        for (mine, theirs, *_), projector, (mean, deviation) in zip(
            self.case.pair.links, self.projectors, self.targets, strict=True
        ):
            target = (self.theirs.seen[theirs] - mean) / deviation
            error = error + F.mse_loss(projector(self.mine.seen[mine]), target)
        return F.cross_entropy(logits, labels) + FEATURE_WEIGHT * error

    def step(self, loss: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.learnt, CLIP)
        self.optimizer.step()


class BareUnclipped(Bare):
    """The same without the limit on the gradient's length that limbeck and Hugging Face set."""

    name = "bare, gradients unclipped"
    clip = False


class BareUnfused(Bare):
    """The same with AdamW as torch gives it; limbeck and the bare loop take the fused kernel."""

    name = "bare, AdamW not fused"

    def prepare(self) -> None:
        super().prepare()
        self.optimizer = torch.optim.AdamW(self.learnt, lr=RATE)


class Student(Bare):
    """The student's own training with the same terms: the teacher's standardised features come with the batch."""

    name = "student"

    def prepare(self) -> None:
        super().prepare()
        self.theirs.close()
        self.known = self.case.standardised

    def train(self) -> None:
        for inputs, labels, targets in self.case.loader(self.clock, self._batch):
            logits = self.student(inputs)
            error = torch.zeros(())
            for (mine, *_), projector, target in zip(self.case.pair.links, self.projectors, targets, strict=True):
                error = error + F.mse_loss(projector(self.mine.seen[mine]), target)
            self.step(F.cross_entropy(logits, labels) + FEATURE_WEIGHT * error)

    def _batch(self, indices: list[int]) -> tuple[Any, torch.Tensor, list[torch.Tensor]]:
        return *self.case.batch(indices), [each[indices] for each in self.known]


class Limbeck(System):
    """limbeck's own trainer with its default settings, as ``limbeck.distill`` runs it."""

    name = "limbeck"
    balancer: ClassVar[dict[str, Any]] = FIXED

    def prepare(self) -> None:
        self.plan = self.case.plan(self.balancer)
        self.distiller = self.case.distiller(self.plan)
        self.settings = Settings(lr=RATE, steps=self.case.count // self.case.pair.batch_size)
        self.accelerator = make_accelerator(self.settings, "cpu")
        self.source = self.make_source()

    def make_source(self) -> FeatureSource:
        """Where the teacher's side comes from."""
        return limbeck.Teacher(self.case.teacher, self.plan.teacher_sites)

    def loader(self) -> DataLoader[Any]:
        """One pass."""
        return self.case.loader(self.clock)

    def train(self) -> None:
        steps = self.settings.steps or 1
        trainer = Trainer(
            self.distiller,
            self.source,
            settings=self.settings,
            lr=RATE,
            # In a real training of 2,000 steps a row of history is written every 50.
            length=Length(steps, 50, None, Choice("steps", steps, "given")),
            adapt=AdaptKeyed(adapt_batch),
            accelerator=self.accelerator,
            label=None,
        )
        trainer.fit(self.loader())


class LimbeckCached(Limbeck):
    """limbeck's trainer with the teacher's features read from disk, in two bytes a number."""

    name = "limbeck cached"

    def make_source(self) -> FeatureSource:
        self._folder = tempfile.TemporaryDirectory(prefix="limbeck-speed-")
        origin = Origin("teacher", "weights", {"training": DataOrigin("data", self.case.count)}, "float16")
        live = limbeck.Teacher(self.case.teacher, self.plan.teacher_sites)
        sites = self.plan.teacher_sites
        cached = CachedTeacher(
            live, Cache(self._folder.name, origin), sites=sites, forms=[Form(each.site) for each in sites]
        )
        adapt = AdaptKeyed(adapt_batch)
        batches = [adapt(raw) for raw in self.loader()]
        cached.fit(batches[:2])
        for batch in batches:
            cached(batch)
        self.clock.read()
        # What is read for the first time in a process is checked against its checksum.
        cached.close()
        return cached

    def loader(self) -> DataLoader[Any]:
        return keyed_loader(self.case.loader(self.clock), drawn=False)


class LimbeckLoop(Limbeck):
    """A loop of one's own around limbeck's distiller and teacher."""

    name = "limbeck, own loop"

    def prepare(self) -> None:
        super().prepare()
        self.distiller.train()
        self.learnt = list(self.distiller.parameters())
        self.optimizer = torch.optim.AdamW(self.learnt, lr=RATE, fused=True)

    def train(self) -> None:
        for raw in self.loader():
            batch = limbeck.Batch(*raw)
            out = self.distiller(batch, self.source(batch))
            self.optimizer.zero_grad()
            out.loss.backward()
            nn.utils.clip_grad_norm_(self.learnt, CLIP)
            self.optimizer.step()
            self.distiller.step()
