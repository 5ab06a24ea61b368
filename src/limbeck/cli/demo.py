"""``limbeck demo``: the main job on real data, without a download."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from limbeck.demo.contest import Contest, Row


def demo(
    folder: Annotated[
        Path, typer.Option(help="Where the run is written; an earlier one there is kept under another name.")
    ] = Path("runs/demo"),
) -> None:
    """Train digit recognisers 70 times smaller than their teachers, in three ways, and compare them.

    Takes a few minutes on two cores. Trains the teachers first if none are saved.
    """
    from limbeck.api import load
    from limbeck.demo.contest import Contest
    from limbeck.export import export
    from limbeck.training.run_folder import RunFolder

    folder.parent.mkdir(parents=True, exist_ok=True)
    # An earlier demo is touched only when this one has come to its end.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".demo-") as place:
        contest = Contest(Path(place) / "run", folder.parent / "demo-teachers")
        rows = contest.table(_results(contest))
        kept = _moved(contest.folder, folder)
    exported = export(load(folder), RunFolder(folder).example_inputs(), folder, to="torch")
    console = Console()
    console.print(_table(rows))
    console.print(
        f"Report: {folder / 'report.md'}\nTable: {folder / 'summary.json'}\n"
        f"Exported student: {exported.path} (differs from the trained one by {exported.max_difference:.1g})"
        + (f"\nThe earlier demo is kept in {kept}." if kept is not None else ""),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _results(contest: Contest) -> dict[str, list[float]]:
    """Test accuracies of everyone; shows a bar on a terminal, and a line for each network elsewhere."""
    from limbeck.demo.contest import CONTENDERS, SEEDS
    from limbeck.progress import ProgressBar

    console = Console(stderr=True)
    found: dict[str, list[float]] = {}
    total = SEEDS * (len(CONTENDERS) + 1)
    with ProgressBar("Demo", total) as bar:
        for name, seed, value in contest.run():
            found.setdefault(name, []).append(value)
            said = f"{name}, seed {seed}: {value:.3f}"
            bar.advance(note=said)
            if not console.is_terminal:
                console.print(f"{bar.done}/{total} {said}", markup=False, highlight=False)
    return found


def _moved(run: Path, folder: Path) -> Path | None:
    """Give the run its name; returns the new name of an earlier one."""
    from limbeck.training.run_folder import next_free

    kept = next_free(folder) if folder.exists() else None
    if kept is not None:
        folder.rename(kept)
    run.rename(folder)
    return kept


def _table(rows: list[Row]) -> Table:
    from limbeck.demo.contest import TITLE

    table = Table("", "test accuracy", "parameters", "file", "latency of one image", title=TITLE)
    for row in rows:
        table.add_row(*row.cells())
    return table
