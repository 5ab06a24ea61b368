"""``limbeck recipes``: the shipped ones."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print this one's YAML, to start your own from.")] = None,
) -> None:
    """List the shipped recipes, or print one."""
    from limbeck.recipe.recipe import SHIPPED, Recipe, shipped_recipes

    if name is not None:
        Recipe.load(name)
        typer.echo((SHIPPED / f"{name}.yaml").read_text(encoding="utf-8"))
        return
    table = Table("recipe", "task", "what it does")
    known = {each: Recipe.load(each) for each in shipped_recipes()}
    for each, recipe in sorted(known.items(), key=lambda pair: (bool(pair[1].task), pair[0])):
        table.add_row(each, recipe.task or "any", recipe.summary)
    Console().print(table)
