"""``limbeck methods``: the catalogue."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from limbeck.catalogue import Method


def methods(
    family: Annotated[
        str | None,
        typer.Argument(
            metavar="[FAMILY]",
            help="losses, outputs, associations, projectors, targets, balancers, schedules, similarity or mapping.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Explain this one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a list of objects.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page of the documentation.")] = False,
) -> None:
    """List the methods that recipes and plans can name, or explain one: formula, paper, needs, size."""
    from limbeck.catalogue import catalogue_page
    from limbeck.catalogue import methods as known

    if markdown:
        typer.echo(catalogue_page().rstrip())
        return
    found = known(family, name)
    if as_json:
        typer.echo(json.dumps([each.to_dict() for each in found], indent=2, ensure_ascii=False))
    elif name is not None:
        for each in found:
            _explain(each)
    else:
        _list(found)


def _list(found: Sequence[Method]) -> None:
    console = Console()
    for family, members in itertools.groupby(found, key=lambda each: each.family):
        table = Table("name", "what it does", "needs", "learns", title=family, title_justify="left")
        table.columns[0].no_wrap = True
        for each in members:
            learns = "" if each.parameters is None else f"{each.parameters:,}"
            table.add_row(each.name, each.summary, ", ".join(each.needs), learns)
        console.print(table)
    console.print(
        "'learns': numbers between a student site of 144 and a teacher site of 576 channels at 8 x 8 positions.\n"
        "Next: limbeck methods FAMILY NAME explains one.",
        highlight=False,
    )


def _explain(method: Method) -> None:
    console = Console()
    console.print(f"{method.family}: {method.name}({', '.join(method.options)})", style="bold", highlight=False)
    console.print(method.text, markup=False, highlight=False)
    if method.needs:
        console.print(f"\nNeeds: {', '.join(method.needs)}", highlight=False)
    if method.parameters is not None:
        size = f"{method.parameters:,} learnt numbers"
        size += "" if method.multiplications is None else f", {method.multiplications:,.4g} million multiplications"
        console.print(f"Between 144 and 576 channels at 8 x 8 positions, 16 samples: {size}", highlight=False)
