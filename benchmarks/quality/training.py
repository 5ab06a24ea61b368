"""One training of a pair's student, and what it came to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from benchmarks.quality.batches import Batches
from benchmarks.quality.contenders import Contender, Parameters
from benchmarks.quality.data import DataSet, Samples, load
from benchmarks.quality.judging import Judged, judge, probe_accuracy
from benchmarks.quality.pairs import Pair
from benchmarks.quality.teachers import StoredTeacher, seconds_a_sample, teacher_of
from torch import nn

from limbeck import Teacher
from limbeck.distiller import Distiller
from limbeck.planning import Pair as Look
from limbeck.planning import Plan, build, fit_targets
from limbeck.planning.planner import make_plan, mapper_of
from limbeck.recipe.settings import Settings
from limbeck.search.rates import DEFAULT_RATE, RateSearch
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.accelerating import make_accelerator
from limbeck.training.length import Length
from limbeck.training.metrics import accuracy
from limbeck.training.trainer import Trainer

VALIDATION = 0.2
SEARCH_SEED = 100


class NotApplicable(Exception):
    """A contender that has no meaning on a pair; says why."""


class Trained(NamedTuple):
    """A training and what it cost.

    Attributes:
        judged: on validation or on test data.
        seconds: processor time of planning, fitting of targets and training, without a teacher that was not run.
        search_seconds: of limbeck's own search for the rate.
        rate: highest learning rate.
        steps: of the training.
        asked: samples for which the teacher was asked and not run.
    """

    judged: Judged
    seconds: float
    search_seconds: float
    rate: float
    steps: int
    asked: int


@dataclass
class Case:
    """A pair with its data and its trained teacher.

    Attributes:
        pair: what is trained.
    """

    pair: Pair

    @cached_property
    def data(self) -> DataSet:
        """The data set."""
        return load(self.pair.data)

    @cached_property
    def samples(self) -> Samples:
        """All that the student has."""
        return self.data.pool.at(torch.arange(self.pair.samples))

    @cached_property
    def teacher(self) -> nn.Module:
        """The trained teacher."""
        return teacher_of(self.pair, self.data)

    @cached_property
    def teacher_seconds(self) -> float:
        """What the teacher takes for one sample."""
        return seconds_a_sample(self.teacher, next(iter(self.batches("all", seed=0))))

    @cached_property
    def teacher_accuracy(self) -> float:
        """On the test data, or of a linear probe on its features."""
        if not self.pair.labels:
            return probe_accuracy(self.teacher, self.samples, self.data.test)
        return judge(self.teacher, self.data.test).accuracy

    def part(self, name: str) -> torch.Tensor:
        """Numbers of the samples to train with, to select with, or of all."""
        count = self.pair.samples
        held = round(VALIDATION * count)
        return {
            "train": torch.arange(held, count), "validation": torch.arange(held), "all": torch.arange(count),
        }[name]  # fmt: skip

    def batches(self, part: str, *, seed: int | None, mixed: bool = False, size: int | None = None) -> Batches:
        """Batches of a part of the data."""
        places, pair = self.part(part), self.pair
        return Batches(
            self.samples.at(places), places, size=size or pair.batch, seed=seed, mixed=mixed,
            augment=pair.augment if seed is not None else None, classes=self.data.classes, labelled=pair.labels,
        )  # fmt: skip

    def look(self, scale: float) -> Look:
        """The models, looked at."""
        if scale not in self._looks:
            torch.manual_seed(0)
            before = time.process_time()
            loader = self.batches("all", seed=0)
            self._looks[scale] = Look.look(self.teacher, self.pair.student(scale), loader, hold=False, show=False)
            self.look_seconds = time.process_time() - before
        return self._looks[scale]

    def __post_init__(self) -> None:
        self._looks: dict[float, Look] = {}
        self.look_seconds = 0.0

    def plan(self, contender: Contender, found: Parameters) -> tuple[Look, Plan]:
        """What the contender does on this pair."""
        look = self.look(contender.scale)
        recipe = contender.resolved(found, samples=self.pair.samples, labelled=self.pair.labels)
        scores = look._scores(recipe) if recipe.features and mapper_of(recipe).needs_scores else None
        names = ("student", "teacher")
        return look, make_plan(
            recipe, look.student_anatomy, look.teacher_anatomy, look.facts, names=names, scores=scores
        )

    def train(self, contender: Contender, found: Parameters, *, seed: int, final: bool) -> Trained:
        """Train once: on a part of the data and judged on the rest of it, or on all and judged on the test data."""
        pair, mixed = self.pair, found.get("mixed", contender.mixed)
        if (mixed or contender.mixed is None) and isinstance(self.samples.inputs, dict):
            raise NotApplicable("tokens cannot be mixed")
        steps = max(20, round(pair.steps * contender.length * found.get("part", 1.0)))
        self.look(contender.scale)
        before = time.process_time()
        look, plan = self.plan(contender, found)
        torch.manual_seed(1000 + seed)
        student = pair.student(contender.scale)
        heads = replace(look, student=student).heads
        distiller = build(plan, student, total_steps=steps, read_output=look.read_output, heads=heads)
        settings = Settings(steps=steps, seed=seed, evaluations=1)
        with self._source(distiller, plan, live=bool(mixed) or pair.augment is not None) as source:
            fit_targets(distiller, source, look.batches)
            planned = time.process_time() - before
            rate, search_seconds = self._rate(contender, found, distiller, source, settings)
            before = time.process_time()
            loader = self.batches("all" if final else "train", seed=seed, mixed=bool(mixed))
            trainer = Trainer(
                distiller, source, settings=settings, lr=rate, length=_length(settings), label=None,
                accelerator=make_accelerator(settings),
            )  # fmt: skip
            trainer.fit(loader)
            seconds = time.process_time() - before + planned
            # Only what has to find layers needs to look at the models first.
            seconds += self.look_seconds if plan.terms else 0.0
        asked = steps * loader.size if distiller.needs_teacher and isinstance(source, StoredTeacher) else 0
        distiller.close()
        return Trained(self._judged(student, final), seconds, search_seconds, rate, steps, asked)

    def _judged(self, student: nn.Module, final: bool) -> Judged:
        judged = self.data.test if final else self.samples.at(self.part("validation"))
        if self.pair.labels:
            return judge(student, judged)
        known = self.samples.at(self.part("all" if final else "train"))
        return Judged(probe_accuracy(student, known, judged), None)

    @contextmanager
    def _source(self, distiller: Distiller, plan: Plan, *, live: bool) -> Iterator[FeatureSource | None]:
        sites = plan.teacher_sites
        if not distiller.needs_teacher:
            yield None
        elif live:
            with Teacher(self.teacher, sites, answers=distiller.needs_answers) as source:
                yield source
        else:
            name = f"{self.pair.teacher_name}-on-{self.pair.samples}"
            yield StoredTeacher(self.teacher, self.samples, name, sites)

    def _rate(
        self, contender: Contender, found: Parameters, distiller: Distiller, source: Any, settings: Settings
    ) -> tuple[float, float]:
        if contender.own_rate is None:
            return found["rate"], 0.0
        if contender.own_rate == "off":
            return DEFAULT_RATE, 0.0
        before = time.process_time()
        rate, _ = RateSearch(settings, _length(settings))(
            distiller,
            source,
            self.batches("train", seed=settings.seed),
            self.batches("validation", seed=None, size=250),
            metric=accuracy if self.pair.labels else None,
            adapt=lambda batch: batch,
            accelerator=make_accelerator(settings),
            show=False,
        )
        return rate, time.process_time() - before


def _length(settings: Settings) -> Length:
    return Length.of(settings, None)
