"""The command line: one command a file; torch is imported only by the command that needs it."""

from __future__ import annotations

import sys
import warnings

import typer
from rich.console import Console

from limbeck.cli.demo import demo
from limbeck.cli.distill import distill
from limbeck.cli.export import export
from limbeck.cli.inspect import inspect
from limbeck.cli.plan import plan
from limbeck.cli.recipes import recipes
from limbeck.errors import LimbeckError

app = typer.Typer(
    name="limbeck",
    help=(
        "Feature-based knowledge distillation: train a small network on the answers and the inner features of a large "
        "one, with nothing chosen by hand.\n\n"
        "Start with 'limbeck demo', or look at a pair with 'limbeck plan'. MODEL is timm:NAME, torchvision:NAME, "
        "hf:NAME-or-path, package.module:factory or path.py:factory; DATA is digits, mnist1d, imagefolder:PATH, "
        "package.module:factory or path.py:factory. Naming a factory runs its code; no other file that limbeck reads "
        "can."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)
for command in (inspect, plan, distill, export, recipes, demo):
    app.command()(command)


def main() -> None:
    """Run the command line; what the user can mend ends with exit code 2 and one sentence, Ctrl-C with 130."""
    warnings.filterwarnings("ignore", module="torch|transformers|accelerate|onnx.*")
    try:
        app()
    except LimbeckError as error:
        Console(stderr=True).print(f"Error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        Console(stderr=True).print(str(stop) or "Stopped.", markup=False, highlight=False, soft_wrap=True)
        sys.exit(130)
