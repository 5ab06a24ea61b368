"""``limbeck export``: the student of a run as a file that others can run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from limbeck.cli.words import RunArgument


def export(
    run: RunArgument,
    to: Annotated[Literal["onnx", "onnx-int8", "torch", "safetensors"], typer.Option(help="Format.")] = "onnx",
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
    # The run's own student.safetensors stays what training wrote.
    name = run / "exported.safetensors" if to == "safetensors" else run
    with Console(stderr=True).status(f"Exporting to {to} and checking"):
        exported = write(network, folder.example_inputs(), out or name, to=to)
    Console().print(str(exported), markup=False, highlight=False, soft_wrap=True)
