"""``limbeck demo``: the main job on real data, without a download."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def demo(
    folder: Annotated[
        Path, typer.Option(help="Where the run is written; an earlier one there is kept under another name.")
    ] = Path("runs/demo"),
) -> None:
    """Train digit recognisers 70 times smaller than their teachers, in three ways, and compare them.

    Takes a few minutes on two cores. Trains the teachers first if none are saved.
    """
    from limbeck.api import load
    from limbeck.demo.contest import CONTENDERS, LABELS, SEEDS, Contest
    from limbeck.export import export
    from limbeck.progress import ProgressBar
    from limbeck.training.run_folder import RunFolder, next_free

    console = Console()
    if folder.exists():
        kept = next_free(folder)
        folder.rename(kept)
        console.print(f"An earlier demo is kept in {kept}.")
    contest = Contest(folder, folder.parent / "demo-teachers")
    found: dict[str, list[float]] = {}
    with ProgressBar("Demo", SEEDS * (len(CONTENDERS) + 1)) as bar:
        for name, seed, value in contest.run():
            found.setdefault(name, []).append(value)
            bar.advance(note=f"{name}, seed {seed}: {value:.3f}")
    table = Table(
        "", "accuracy", "parameters", "file", "latency of one image",
        title=f"Handwritten digits, {LABELS} labels for the student, mean and standard error of {SEEDS} seeds",
    )  # fmt: skip
    for row in contest.table(found):
        table.add_row(
            row.name, f"{row.accuracy_mean:.3f} +- {row.accuracy_se:.3f}", f"{row.parameters:,}",
            f"{row.bytes / 1024:,.1f} KiB", f"{row.latency_ms:.2f} ms",
        )  # fmt: skip
    exported = export(load(folder), RunFolder(folder).example_inputs(), folder, to="torch")
    console.print(table)
    console.print(
        f"Report: {folder / 'report.md'}\nTable: {folder / 'summary.json'}\n"
        f"Exported student: {exported.path} (differs from the trained one by {exported.max_difference:.1g})",
        markup=False,
        highlight=False,
    )
