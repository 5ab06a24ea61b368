"""What teacher, student and exported files cost where they are used: parameters, megabytes and latency."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from limbeck.batch import call, device_of, move, with_samples
from limbeck.errors import LimbeckError, ModelError
from limbeck.evaluating import evaluating
from limbeck.export.answering import named_inputs
from limbeck.export.check import Run
from limbeck.export.exported import Exported
from limbeck.export.opening import opened
from limbeck.report.measure import file_bytes, latencies, parameters
from limbeck.report.report import markdown_table
from limbeck.teachers.committee import Teachers, as_teacher

BATCHES = (1, 32)
# Calls of each in a block, and how many blocks, of which the first are made however long they take.
_CALLS, _FEWEST, _MOST = 5, 3, 10


class Latency(NamedTuple):
    """How long one call on a batch takes.

    Attributes:
        milliseconds: the median call.
        speed_up: how many times as fast as the first row of the table; median of the blocks.
        slowest: the lowest speed-up of all blocks.
        fastest: the highest.
    """

    milliseconds: float
    speed_up: float
    slowest: float
    fastest: float


class Deployed(NamedTuple):
    """One row of the table.

    Attributes:
        name: ``teacher``, ``student``, or the name of an exported file.
        parameters: of the network; a file holds the student's.
        bytes: of the file; of a module, of its weights as safetensors.
        latencies: by batch size; empty for files of plain weights, which run as the student does.
        max_difference: largest difference of the file's answers to the student's, as a share of the largest answer;
            ``None`` for modules.
    """

    name: str
    parameters: int
    bytes: int
    latencies: Mapping[int, Latency]
    max_difference: float | None = None


@dataclass(frozen=True, slots=True)
class DeploymentCosts:
    """The table of :func:`deployment_costs`.

    Attributes:
        rows: the teacher if there is one, the student, then the files.
        batches: the batch sizes.
        threads: of the CPU that each call could use.
    """

    rows: tuple[Deployed, ...]
    batches: tuple[int, ...]
    threads: int

    @property
    def head(self) -> list[str]:
        """The names of the columns."""
        timed = [name for batch in self.batches for name in (f"ms, batch {batch}", "times as fast")]
        return ["", "parameters", "MB", *timed, "difference"]

    @property
    def cells(self) -> list[list[str]]:
        """The rows as people read them."""
        return [self._shown(row) for row in self.rows]

    def to_markdown(self) -> str:
        """The table in Markdown, and one line that says how it was measured."""
        return "\n".join([*markdown_table(self.head, self.cells), self.note])

    @property
    def note(self) -> str:
        """How the table is to be read."""
        first = self.rows[0].name
        return (
            f"Median call on the CPU, {self.threads} thread(s), all in turn; 'times as fast' as the {first}, with the "
            "lowest and the highest of several blocks. 'difference': largest to the student, as a share of its answers."
        )

    def _shown(self, row: Deployed) -> list[str]:
        share = row.bytes / self.rows[0].bytes
        shown = [row.name, f"{row.parameters:,}", f"{row.bytes / 1e6:.2f} ({share:.0%})"]
        for batch in self.batches:
            found = row.latencies.get(batch)
            shown += (
                ["as student", ""]
                if found is None
                else [f"{found.milliseconds:.2f}", f"{found.speed_up:.2f} ({found.slowest:.2f} to {found.fastest:.2f})"]
            )
        return [*shown, "" if row.max_difference is None else f"{row.max_difference:.1g}"]

    def __str__(self) -> str:
        return self.to_markdown()

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def deployment_costs(
    student: nn.Module,
    example_inputs: Any,
    *,
    teacher: Teachers | None = None,
    exported: Iterable[Exported] = (),
    batches: Sequence[int] = BATCHES,
    seconds: float = 10.0,
) -> DeploymentCosts:
    """Measure what teacher, student and exported files cost where they are used: parameters, megabytes, latency.

    Everything runs on the CPU, where exported files run too; models elsewhere are copied to it. The calls of all take
    turns, so that whatever else the machine does falls on all of them alike, and are repeated in blocks, whose spread
    is told.

    Args:
        student: the trained student; left as it is.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments, as a loader yields them.
        teacher: to compare with; without one, the student is what the others are compared with.
        exported: what :func:`limbeck.export.export` returned; the files must still be there.
        batches: sizes of the batches (1 and 32, our choice); the example inputs are repeated or cut to them.
        seconds: after which no block of five calls is begun, for each batch size (10, our choice); three blocks are
            made in any case, and ten at most.

    Raises:
        ModelError: if student or teacher do not run on the example inputs.
        LimbeckError: if a batch size is below 1, or there is none.

    Example:
        >>> teacher = nn.Sequential(nn.Linear(4, 4000), nn.Linear(4000, 2))
        >>> costs = deployment_costs(nn.Linear(4, 2), torch.randn(8, 4), teacher=teacher, seconds=0.0)
        >>> [(row.name, row.parameters) for row in costs.rows]
        [('teacher', 28002), ('student', 10)]
        >>> sorted(costs.rows[0].latencies)
        [1, 32]
    """
    if not batches or min(batches) < 1:
        raise LimbeckError(f"Latency needs batch sizes of at least 1. Found {list(batches)}. Give such as (1, 32).")
    models = {} if teacher is None else {"teacher": as_teacher(teacher)}
    models["student"] = student
    placed = {name: _on_cpu(model) for name, model in models.items()}
    inputs, files = move(example_inputs, "cpu"), list(exported)
    for name, model in placed.items():
        _require_running(name, model, inputs)
    order = [name for name, each in named_inputs(placed["student"], inputs).items() if isinstance(each, Tensor)]
    runs = {str(each.path): run for each in files if (run := opened(each)) is not None}
    contenders = {**placed, **{name: _File(run, order) for name, run in runs.items()}}
    timed = {batch: _latencies(contenders, with_samples(inputs, batch), seconds) for batch in batches}
    by_name = {name: {batch: found[name] for batch, found in timed.items()} for name in contenders}
    rows = [Deployed(name, parameters(each), file_bytes(each), by_name[name]) for name, each in placed.items()]
    held = parameters(student)
    rows += [
        Deployed(each.path.name, held, each.bytes, by_name.get(str(each.path), {}), each.max_difference)
        for each in files
    ]
    return DeploymentCosts(tuple(rows), tuple(batches), torch.get_num_threads())


class _File(nn.Module):
    """An exported file, called as the student is."""

    def __init__(self, run: Run, names: Sequence[str]) -> None:
        super().__init__()
        self.run = run
        self.names = names

    def forward(self, *args: Tensor, **kwargs: Tensor) -> Tensor:
        return self.run({**dict(zip(self.names, args, strict=False)), **kwargs})


def _latencies(models: Mapping[str, nn.Module], inputs: Any, seconds: float) -> dict[str, Latency]:
    over, blocks = time.monotonic() + seconds, list[dict[str, float]]()
    while len(blocks) < _FEWEST or (len(blocks) < _MOST and time.monotonic() < over):
        blocks.append(latencies(models, inputs, repeats=_CALLS))
    first = next(iter(models))
    found: dict[str, Latency] = {}
    for name in models:
        ratios = [block[first] / block[name] for block in blocks]
        middle = statistics.median(block[name] for block in blocks)
        found[name] = Latency(middle, statistics.median(ratios), min(ratios), max(ratios))
    return found


def _on_cpu(model: nn.Module) -> nn.Module:
    return model if device_of(model).type == "cpu" else copy.deepcopy(model).cpu()


@torch.no_grad()
def _require_running(name: str, model: nn.Module, inputs: Any) -> None:
    with evaluating(model):
        try:
            call(model, inputs)
        except Exception as error:
            raise ModelError(
                f"Latencies are measured on the same inputs. The {name} {type(model).__name__} does not run on them "
                f"({error}). Give inputs that all of them take, or leave the {name} out."
            ) from error
