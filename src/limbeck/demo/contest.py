"""The demo: one real data set, five teachers, and three ways to train the same small student."""

from __future__ import annotations

import json
import math
import signal
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors.torch import load_model, save_model
from torch import nn

from limbeck.balancers import Fixed
from limbeck.batch import adapt_batch, read_logits
from limbeck.demo import networks
from limbeck.distiller import Distiller
from limbeck.outputs import CrossEntropy
from limbeck.pipeline import Options, Pipeline
from limbeck.planning.caching import CacheSettings
from limbeck.recipe.recipe import Recipe
from limbeck.recipe.settings import Settings
from limbeck.report.measure import file_bytes, latencies, parameters
from limbeck.report.report import Report, markdown_table
from limbeck.sources import load_data
from limbeck.training.evaluation import score
from limbeck.training.length import Length
from limbeck.training.metrics import accuracy
from limbeck.training.trainer import Trainer
from limbeck.whole_file import whole_file, write_text

SEEDS = 5
LABELS = 100
BATCH = 32
TEACHER_STEPS = 300
STUDENT_STEPS = 400
CONTENDERS = {"alone": "labels", "soft labels": "soft-labels", "limbeck": "auto"}
TITLE = f"Handwritten digits, {LABELS} labels for the student, mean and standard error of {SEEDS} seeds"
STUDENT_SOURCE = "limbeck.demo.networks:student"


@dataclass(frozen=True)
class Row:
    """One line of the demo's table.

    Attributes:
        name: ``teacher``, ``alone``, ``soft labels`` or ``limbeck``.
        accuracy_mean: on the test digits, in 0..1, mean over the seeds.
        accuracy_se: standard error of that mean.
        seeds: how many.
        parameters: of the network.
        bytes: of its weights as a file.
        latency_ms: of one image on this machine, the median of interleaved calls.
    """

    name: str
    accuracy_mean: float
    accuracy_se: float
    seeds: int
    parameters: int
    bytes: int
    latency_ms: float

    def cells(self) -> tuple[str, ...]:
        """The line as people read it."""
        accuracy = f"{self.accuracy_mean:.3f} +- {self.accuracy_se:.3f}"
        return self.name, accuracy, f"{self.parameters:,}", f"{self.bytes / 1024:,.1f} KiB", f"{self.latency_ms:.2f} ms"


@dataclass(frozen=True)
class Contest:
    """Handwritten digits: a teacher that saw all training digits, a student that sees few with labels.

    The student learns from 100 of the 1,257 training digits. Each seed has its own teacher, its own first weights and
    order of the data; every contender has the same steps and the same way to a learning rate: what suits the student
    or its triple, by validation digits. Test digits are read once for each trained network.

    Attributes:
        folder: where everything is written.
        teachers: where trained teachers are kept.
    """

    folder: Path
    teachers: Path

    def run(self) -> Iterator[tuple[str, int, float]]:
        """Train everything; yields contender, seed and test accuracy as they come."""
        self.teachers.mkdir(parents=True, exist_ok=True)
        # Two single-threaded workers: at this size one network cannot keep two cores busy.
        with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=_begin_worker) as pool:
            teachers = pool.map(self.teacher, range(SEEDS))
            for seed, found in enumerate(teachers):
                yield "teacher", seed, found
            jobs = [(name, seed) for seed in range(SEEDS) for name in CONTENDERS]
            for (name, seed), found in zip(jobs, pool.map(self.student, *zip(*jobs, strict=True)), strict=True):
                yield name, seed, found

    def teacher(self, seed: int) -> float:
        """Train the seed's teacher if none is saved, and test it."""
        data = load_data("digits", batch_size=64, seed=seed)
        torch.manual_seed(seed)
        model = networks.teacher()
        file = self.teachers / f"digits-{seed}.safetensors"
        if file.is_file():
            load_model(model, str(file))
        else:
            settings = Settings(steps=TEACHER_STEPS, seed=seed)
            length = Length.of(settings, None)
            distiller = Distiller(model, outputs=[CrossEntropy()], balancer=Fixed(["output"], output=1.0))
            trainer = Trainer(distiller, None, settings=settings, lr=3e-3, length=length, metric=accuracy, label=None)
            trainer.fit(data.train, data.validation)
            distiller.close()
            with whole_file(file) as place:
                save_model(model, str(place))
        return _test(model, data.test)

    def student(self, name: str, seed: int) -> float:
        """Train the seed's student in one of the ways, and test it."""
        torch.manual_seed(seed)
        teacher = networks.teacher()
        load_model(teacher, str(self.teachers / f"digits-{seed}.safetensors"))
        data = load_data("digits", batch_size=BATCH, seed=seed, options={"train": LABELS})
        torch.manual_seed(1000 + seed)
        student = networks.student()
        with tempfile.TemporaryDirectory() as place:
            options = Options(
                recipe=Recipe.load(CONTENDERS[name]),
                settings={"steps": STUDENT_STEPS, "seed": seed},
                device="cpu",
                # The teacher runs once a digit instead of in every step.
                cache=CacheSettings(place, "float32"),
                run_dir=self.folder if (name, seed) == ("limbeck", 0) else None,
                progress=False,
                names=("digits student", "digits teacher"),
                sources={"student_source": STUDENT_SOURCE},
            )
            report: Report = Pipeline(teacher, student, data.train, data.validation, options).run()
        return _test(report.student, data.test)

    def table(self, found: dict[str, list[float]]) -> list[Row]:
        """The rows, which are also written to ``summary.json`` and into the report."""
        models = {"teacher": networks.teacher(), "student": networks.student()}
        image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        measured = latencies(models, image, repeats=200)
        rows = []
        for name in ("teacher", *CONTENDERS):
            kind = "teacher" if name == "teacher" else "student"
            values = found[name]
            rows.append(
                Row(
                    name=name,
                    accuracy_mean=statistics.mean(values),
                    accuracy_se=statistics.stdev(values) / math.sqrt(len(values)),
                    seeds=len(values),
                    parameters=parameters(models[kind]),
                    bytes=file_bytes(models[kind]),
                    latency_ms=measured[kind],
                )
            )
        write_text(self.folder / "summary.json", json.dumps([asdict(row) for row in rows], indent=2) + "\n")
        self._add_to_report(rows)
        return rows

    def _add_to_report(self, rows: Sequence[Row]) -> None:
        head = ("", "test accuracy", "parameters", "file", "latency of one image")
        said = [f"## {TITLE}", "", *markdown_table(head, [row.cells() for row in rows])]
        said += ["This report is on the student of limbeck with seed 0.", ""]
        file = self.folder / "report.md"
        verdict, choices, rest = file.read_text(encoding="utf-8").partition("## Choices")
        write_text(file, verdict + "\n".join(said) + "\n" + choices + rest)


def _begin_worker() -> None:
    torch.set_num_threads(1)
    # Ctrl-C is for the process that waits for the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _test(model: nn.Module, loader: object) -> float:
    return score(model, loader, metric=accuracy, adapt=adapt_batch, read_output=read_logits)  # pyright: ignore[reportArgumentType]
