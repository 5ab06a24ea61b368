"""``limbeck export``: the student of a run as files that others can run, and what they cost."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from limbeck.cli.several import joined, member_names
from limbeck.cli.tables import table_console
from limbeck.cli.words import RunArgument
from limbeck.errors import LimbeckError, RunError

if TYPE_CHECKING:
    from torch import nn

    from limbeck.deployment import DeploymentCosts
    from limbeck.training.run_folder import RunFolder


class Format(StrEnum):
    """The formats, as they are typed."""

    ONNX = "onnx"
    ONNX_INT8 = "onnx-int8"
    TORCH = "torch"
    SAFETENSORS = "safetensors"
    HUGGINGFACE = "huggingface"


def export(
    run: RunArgument,
    to: Annotated[
        list[Format] | None,
        typer.Option(help="Format; repeated, several at once. onnx if not given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="What to write, or a folder to write into; in the run folder if not given.")
    ] = None,
    student: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Factory of the student, for a run whose student only your code can build."),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL",
            help="Factory of the teacher, likewise, to compare with; its weights do not matter. Repeated, several.",
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(help="Whether to measure the latency of teacher, student and files, which takes seconds."),
    ] = True,
) -> None:
    """Export a run's student, run what was exported, and print how far its answers are from the trained student's.

    Then comes a table of what teacher, student and files cost: parameters, megabytes, and latency on this machine's
    CPU.

    Example: limbeck export runs/demo --to onnx --to onnx-int8
    """
    from limbeck.api import load
    from limbeck.export import export as write
    from limbeck.training.run_folder import RunFolder

    formats = list(dict.fromkeys(to or [Format.ONNX]))
    if out is not None and len(formats) > 1 and not out.is_dir():
        raise RunError(f"Several formats need a folder to be written into. Found '{out}'. Make it, or give one format.")
    folder = RunFolder(run)
    network, inputs = load(run, student=student), folder.example_inputs()
    compared = _teacher(folder, teacher or []) if measure else None
    console, waiting = Console(), Console(stderr=True)
    exported = []
    for name in formats:
        # The run's own student.safetensors stays what training wrote.
        place = out or (run / "exported.safetensors" if name is Format.SAFETENSORS else run)
        with waiting.status(f"Exporting to {name} and checking"):
            exported.append(write(network, inputs, place, to=name))
        console.print(str(exported[-1]), markup=False, highlight=False, soft_wrap=True)
    if measure:
        from limbeck.deployment import deployment_costs

        with waiting.status("Measuring latency"):
            costs = deployment_costs(network, inputs, teacher=compared, exported=exported)
        _print(costs)


def _teacher(folder: RunFolder, named: list[str]) -> nn.Module | None:
    """A network like the run's teacher; ``None``, with a word about it, where only code that is not named builds it."""
    from limbeck.sources.rebuild import builds_safely, rebuild

    built = folder.description.get("teachers") or []
    options = {each["source"]: each["options"] for each in built}
    names = named or [each["source"] for each in built]
    if not names or not (named or all(builds_safely(each) for each in names)):
        hint = " ".join(f"--teacher {each}" for each in names) or "--teacher MODEL"
        _say(f"The table leaves the teacher out, as its code must be named to be run: {hint}.")
        return None
    try:
        members = [rebuild(each, options.get(each)) for each in names]
    except LimbeckError as error:
        if named:
            raise
        _say(f"The table leaves the teacher out: {error}")
        return None
    return joined(dict(zip(member_names(names), members, strict=True)), None)


def _print(costs: DeploymentCosts) -> None:
    console = table_console()
    table = Table(*costs.head)
    for row in costs.cells:
        table.add_row(*row)
    console.print(table)
    console.print(costs.note, markup=False, highlight=False)


def _say(text: str) -> None:
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
