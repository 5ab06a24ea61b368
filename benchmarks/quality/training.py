"""One training of a pair's student, and what it came to."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from benchmarks.quality.batches import Batches
from benchmarks.quality.contenders import Contender, Parameters, Range
from benchmarks.quality.data import CACHE, DataSet, Samples, load
from benchmarks.quality.judging import Judged, judge, probe_accuracy
from benchmarks.quality.pairs import Pair
from benchmarks.quality.teachers import StoredTeacher, seconds_a_sample, teacher_of, unseen_accuracy
from torch import nn

import limbeck
from limbeck import Teacher
from limbeck.distiller import Distiller
from limbeck.planning import Pair as Look
from limbeck.planning import Plan, build, fit_targets
from limbeck.planning.planner import make_plan, mapper_of
from limbeck.recipe.settings import Settings
from limbeck.search.rates import suited
from limbeck.teachers.feature_source import FeatureSource
from limbeck.training.accelerating import make_accelerator
from limbeck.training.length import Length
from limbeck.training.trainer import Trainer

# What searches select by, and what limbeck holds out where nobody gives it validation data.
VALIDATION, HELD_OUT = 0.2, 0.1
SEARCH_SEED = 100


class NotApplicable(Exception):
    """A contender that has no meaning on a pair; says why."""


class Trained(NamedTuple):
    """A training and what it cost.

    Attributes:
        judged: on validation or on test data.
        planning_seconds: processor time of looking at the models, planning and fitting of targets.
        seconds: of these and the training, without a teacher that was not run.
        search_seconds: of limbeck's own rule for the rate.
        rate: highest learning rate.
        steps: of the training.
        asked: samples for which the teacher was asked and not run.
    """

    judged: Judged
    planning_seconds: float
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
        data: the data set.
        cache: folder of the trained teachers and of what they say.
        look_seconds: processor time of the latest look at the models.
    """

    pair: Pair
    data: DataSet
    cache: Path = CACHE
    look_seconds: float = 0.0
    _looks: dict[float, Look] = field(default_factory=dict[float, Look])

    @classmethod
    def of(cls, pair: Pair) -> Case:
        """The pair with all of its data."""
        return cls(pair, load(pair.data))

    @cached_property
    def samples(self) -> Samples:
        """All that the student has."""
        return self.data.pool.at(torch.arange(self.pair.samples))

    @cached_property
    def teacher(self) -> nn.Module:
        """The trained teacher."""
        return teacher_of(self.pair, self.data, self.cache)

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

    @property
    def teacher_unseen(self) -> float | None:
        """Accuracy of the teacher on data that was used for nothing."""
        return unseen_accuracy(self.teacher, self.pair, self.data)

    def part(self, name: str) -> torch.Tensor:
        """Numbers of the samples to train with, to select with, or of all."""
        count = self.pair.samples
        held = round(VALIDATION * count)
        return {
            "train": torch.arange(held, count), "validation": torch.arange(held), "all": torch.arange(count),
        }[name]  # fmt: skip

    def batches(self, part: str, *, seed: int | None, mixed: bool = False, size: int | None = None) -> Batches:
        """Batches of a part of the data."""
        return self._batches(self.part(part), seed=seed, mixed=mixed, size=size)

    def _batches(
        self, places: torch.Tensor, *, seed: int | None, mixed: bool = False, size: int | None = None
    ) -> Batches:
        pair = self.pair
        return Batches(
            self.samples.at(places), places, size=size or pair.batch, seed=seed, mixed=mixed,
            augment=pair.augment if seed is not None else None, classes=self.data.classes, labelled=pair.labels,
        )  # fmt: skip

    def look(self, scale: float) -> Look:
        """The models, looked at."""
        if scale not in self._looks:
            self._timed_look(scale)  # The first one of a process also loads what the next one finds loaded.
            self._looks[scale], self.look_seconds = self._timed_look(scale)
        return self._looks[scale]

    def _timed_look(self, scale: float) -> tuple[Look, float]:
        torch.manual_seed(0)
        before = time.process_time()
        loader = self.batches("all", seed=0)
        found = Look.look(self.teacher, self.pair.student(scale), loader, hold=False, show=False)
        return found, time.process_time() - before

    @property
    def mixable(self) -> bool:
        """Whether samples can be mixed; tokens cannot."""
        return not isinstance(self.samples.inputs, dict)

    def space(self, contender: Contender) -> Mapping[str, Range | tuple[Any, ...]]:
        """What is searched for a contender on this pair."""
        if self.mixable or "mixed" not in contender.space:
            return contender.space
        return {**contender.space, "mixed": (False,)}

    def plan(self, contender: Contender, found: Parameters) -> tuple[Look, Plan]:
        """What the contender does on this pair."""
        look = self.look(contender.scale)
        recipe = contender.resolved(found, samples=self.pair.samples, labelled=self.pair.labels)
        if not recipe.features and not recipe.outputs:
            raise NotApplicable("it learns from labels alone, and this pair has none")
        scores = look._scores(recipe) if recipe.features and mapper_of(recipe).needs_scores else None
        names = ("student", "teacher")
        return look, make_plan(
            recipe, look.student_anatomy, look.teacher_anatomy, look.facts, names=names, scores=scores
        )

    def train(self, contender: Contender, found: Parameters, *, seed: int, final: bool) -> Trained:
        """Train once: on a part of the data and judged on the rest of it, or on all and judged on the test data."""
        if contender.automatic:
            return self._automatic(seed=seed, final=final)
        pair, mixed = self.pair, found.get("mixed", contender.mixed)
        self._require_meaning(contender, bool(mixed))
        steps = max(20, round(pair.steps * contender.length * found.get("part", 1.0)))
        self.look(contender.scale)
        before = time.process_time()
        look, plan = self.plan(contender, found)
        torch.manual_seed(1000 + seed)
        student = pair.student(contender.scale)
        heads = replace(look, student=student).heads
        distiller = build(plan, student, total_steps=steps, read_output=look.read_output, heads=heads)
        settings = Settings(steps=steps, seed=seed, evaluations=1)
        planned = time.process_time() - before
        with self._source(distiller, plan, live=bool(mixed) or pair.augment is not None) as source:
            # What a teacher says is stored once and for all contenders, so that no one of them pays for it.
            before = time.process_time()
            fit_targets(distiller, source, look.batches)
            planned += time.process_time() - before
            rate, search_seconds = self._rate(contender, found, distiller, source, settings)
            before = time.process_time()
            loader = self.batches("all" if final else "train", seed=seed, mixed=bool(mixed))
            trainer = Trainer(
                distiller, source, settings=settings, lr=rate, length=_length(settings), label=None,
                accelerator=make_accelerator(settings),
            )  # fmt: skip
            trainer.fit(loader)
            fitted = time.process_time() - before
        # Only what has to find layers needs to look at the models first.
        looked = self.look_seconds if plan.terms else 0.0
        asked = steps * loader.size if distiller.needs_teacher and isinstance(source, StoredTeacher) else 0
        distiller.close()
        planned += looked
        return Trained(
            self._judged(student, final), planned, planned + fitted, search_seconds, rate, steps, asked
        )  # fmt: skip

    def _automatic(self, *, seed: int, final: bool) -> Trained:
        """``limbeck.distill`` with nothing said but how long: of what it is given it holds out a tenth to select by."""
        before = time.process_time()
        torch.manual_seed(1000 + seed)
        student = self.pair.student(1.0)
        given = self.part("all" if final else "train")
        count = round(HELD_OUT * len(given))
        train, held = self._batches(given[count:], seed=seed), self._batches(given[:count], seed=None, size=250)
        options: dict[str, Any] = {"steps": max(20, self.pair.steps), "seed": seed, "progress": False}
        report = limbeck.distill(self.teacher, student, train, validation=held, **options)
        seconds = time.process_time() - before
        rate, steps = report.plan.training.lr, report.history.rows[-1]["step"]
        return Trained(self._judged(student, final), 0.0, seconds, 0.0, float(rate), steps, 0)

    def _require_meaning(self, contender: Contender, mixed: bool) -> None:
        if mixed and not self.mixable:
            raise NotApplicable("tokens cannot be mixed")
        if contender.needs_positions and not self.pair.positions:
            raise NotApplicable("it compares positions, and the student has none")
        if self.data.classes < contender.least_classes:
            raise NotApplicable(f"it needs {contender.least_classes} classes, and there are {self.data.classes}")

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
            yield StoredTeacher(self.teacher, self.samples, self.cache / "features" / name, sites)

    def _rate(
        self, contender: Contender, found: Parameters, distiller: Distiller, source: Any, settings: Settings
    ) -> tuple[float, float]:
        if not contender.ruled:
            return found["rate"], 0.0
        before = time.process_time()
        first = list(itertools.islice(self.batches("train", seed=settings.seed), 2))
        said = suited(distiller, source, first, settings=settings, accelerator=make_accelerator(settings))
        return said.value, time.process_time() - before


def _length(settings: Settings) -> Length:
    return Length.of(settings, None)
