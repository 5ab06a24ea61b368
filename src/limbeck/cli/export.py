"""``limbeck export``: the student of a run as a file that others can run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from limbeck.cli.words import RunArgument


def export(
    run: RunArgument,
    to: Annotated[Literal["onnx", "torch", "safetensors"], typer.Option(help="Format.")] = "onnx",
    out: Annotated[Path | None, typer.Option(help="File to write; in the run folder if not given.")] = None,
    student: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Factory of the student, for a run whose student only your code can build."),
    ] = None,
) -> None:
    """Export a run's student, run the exported file, and print how far its answers are from the trained student's.

    Example: limbeck export runs/demo --to onnx
    """
    from limbeck.api import load
    from limbeck.export import export as write
    from limbeck.training.run_folder import RunFolder

    folder = RunFolder(run)
    network = load(run, student=student)
    exported = write(network, folder.example_inputs(), out or run, to=to)
    Console().print(
        f"{exported.path} ({exported.bytes:,} bytes); largest difference to the trained student "
        f"{exported.max_difference:.2g}",
        markup=False,
        highlight=False,
    )
