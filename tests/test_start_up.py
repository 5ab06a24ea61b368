"""What is loaded before it is needed: importing and asking for help must not wait for anything heavy."""

import json
import subprocess
import sys

import pytest

COMMANDS = ["inspect", "new", "plan", "distill", "export", "recipes", "methods", "demo"]
# Not pydantic: typer itself loads it to read the options of a command.
HEAVY = {"torch", "numpy", "jaxtyping", "accelerate", "yaml", "transformers", "timm", "torchvision", "onnx"}


def loaded_by(code: str) -> set[str]:
    """The top-level packages that are loaded after a fresh interpreter ran the code."""
    code += "\nimport json, sys; print('\\n' + json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(ran.stdout.splitlines()[-1]))


def asking(*words: str) -> str:
    return f"from limbeck.cli.app import app\napp({list(words)!r}, standalone_mode=False)"


def test_importing_loads_nothing_but_itself():
    loaded = loaded_by("import limbeck") - loaded_by("import importlib, typing")
    assert loaded <= {"limbeck", "__future__"}


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([each, "--help"] for each in COMMANDS)], ids=" ".join)
def test_help_loads_nothing_heavy(words):
    assert not loaded_by(asking(*words)) & HEAVY


def test_reading_a_recipe_does_not_load_torch():
    assert "torch" not in loaded_by("import limbeck; limbeck.Recipe.load('auto')")


def test_the_parts_of_a_loop_of_ones_own_load_neither_accelerate_nor_pydantic():
    found = loaded_by("from limbeck import Batch, Capture, Distiller, Feature, Link, Teacher, Term, probe")
    assert not found & {"accelerate", "pydantic", "yaml", "rich", "typer", "torchvision", "transformers", "timm"}
