"""The command line: one command a file; torch is imported only by the command that needs it."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from limbeck import __version__
from limbeck.cli.cache import cache
from limbeck.cli.demo import demo
from limbeck.cli.distill import distill
from limbeck.cli.export import export
from limbeck.cli.inspect import inspect
from limbeck.cli.methods import methods
from limbeck.cli.new import new
from limbeck.cli.plan import plan
from limbeck.cli.recipes import recipes
from limbeck.errors import LimbeckError

app = typer.Typer(
    name="limbeck",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _show_version(asked: bool | None) -> None:
    if asked:
        typer.echo(f"limbeck {__version__}")
        raise typer.Exit


@app.callback()
def _limbeck(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = None,
) -> None:
    """Feature-based knowledge distillation: a small network learns from a large one, with nothing chosen by hand.

    It is trained on the answers and the inner features of the large one. Start with 'limbeck demo', or look at a pair
    with 'limbeck plan'.

    MODEL is timm:NAME, torchvision:NAME, hf:NAME-or-path, package.module:factory or path.py:factory; DATA is digits,
    mnist1d, imagefolder:PATH, hf-dataset:PATH-or-name, webdataset:SHARDS, package.module:factory or path.py:factory.

    Naming a factory runs its code, in a flag as in a job file, and so does a job file's or flag's 'import'. Nothing
    else that limbeck reads can run code: no weights, plan, recipe or run folder.
    """


def _stoppable(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which says on Ctrl-C what was saved: typer ends it without a word."""

    @functools.wraps(command)
    def run(*args: object, **options: object) -> None:
        try:
            command(*args, **options)
        except KeyboardInterrupt as stop:
            _say(str(stop) or "Stopped.")
            raise typer.Exit(130) from None

    return run


for each in (inspect, new, plan, distill, export, recipes, methods, demo):
    app.command()(_stoppable(each))
for command in cache.registered_commands:
    command.callback = command.callback and _stoppable(command.callback)
app.add_typer(cache, name="cache")


def main() -> None:
    """Run the command line; what the user can mend ends with exit code 2 and one message, Ctrl-C with 130."""
    warnings.filterwarnings("ignore", module="torch|transformers|accelerate|onnx.*")
    try:
        app()
    except LimbeckError as error:
        _say(f"Error: {error}", style="red")
        sys.exit(2)


def _say(text: str, style: str | None = None) -> None:
    Console(stderr=True).print(text, style=style, markup=False, highlight=False, soft_wrap=True)
