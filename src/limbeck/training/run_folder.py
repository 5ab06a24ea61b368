"""The folder that a run writes: what it was, how it went, what came of it."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file, save_model
from torch import nn

from limbeck.errors import RunError
from limbeck.training.history import History


class RunFolder:
    """A folder with ``run.json``, ``recipe.yaml``, ``plan.yaml``, ``history.jsonl``, ``student.safetensors``, reports.

    Nothing that it reads can run code: JSON, YAML read safely, safetensors.

    Args:
        path: the folder.

    Example:
        >>> import tempfile
        >>> run = RunFolder.create(Path(tempfile.mkdtemp()) / "first", needed_bytes=1000)
        >>> run.describe(state="running"); run.description["state"]
        'running'
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path | str, *, needed_bytes: int, resume: bool = False) -> RunFolder:
        """Make the folder, or open it again to resume.

        Raises:
            RunError: if there is a run in it already, there is not enough disk, or it cannot be written.
        """
        run = cls(path)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            if (run.path / "run.json").exists() and not resume:
                raise RunError(
                    f"'{path}' holds an earlier run ({run.description.get('state', 'unknown')}). Give another "
                    f"run_dir, such as '{next_free(run.path)}', or resume=True (--resume) to go on with it."
                )
            if (run.path / "student.safetensors").exists():
                raise RunError(
                    f"The run in '{path}' is finished: there is nothing to resume. Load its student with "
                    f"limbeck.load('{path}'), or give another run_dir for a new run."
                )
            free = shutil.disk_usage(run.path).free
        except OSError as error:
            raise RunError(f"'{path}' cannot be written: {error.strerror}. Give another run_dir.") from error
        if free < needed_bytes:
            raise RunError(
                f"The run needs about {needed_bytes / 1e6:.0f} MB of disk for weights and checkpoints. Found "
                f"{free / 1e6:.0f} MB free at '{path}'. Free some, or give another run_dir."
            )
        return run

    @property
    def description(self) -> dict[str, Any]:
        """What ``run.json`` says.

        Raises:
            RunError: if there is no run in the folder, or the file is damaged.
        """
        file = self.path / "run.json"
        if not file.is_file():
            raise RunError(f"There is no run in '{self.path}' (no run.json). Give the folder of a run.")
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise RunError(f"'{file}' is damaged: {error}. Start the run anew in another folder.") from error

    def describe(self, **facts: Any) -> None:
        """Add facts to ``run.json``."""
        known = self.description if (self.path / "run.json").exists() else {}
        self.write("run.json", json.dumps({**known, **facts}, indent=2) + "\n")

    def write(self, name: str, text: str) -> None:
        """Write a text file, whole or not at all."""
        temporary = self.path / f".{name}.new"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.path / name)

    def history(self) -> History:
        """The history so far."""
        return History.read(self.path / "history.jsonl")

    @property
    def checkpoint(self) -> Path:
        """Where the state of an unfinished training lies."""
        return self.path / "checkpoint"

    def save_example(self, inputs: Any) -> None:
        """Keep a few inputs, so that an export can be checked on real ones."""
        named = (
            inputs
            if isinstance(inputs, Mapping)
            else dict(enumerate(inputs if isinstance(inputs, tuple) else [inputs]))
        )
        tensors = {str(name): value.cpu().contiguous() for name, value in named.items() if torch.is_tensor(value)}
        kind = "dict" if isinstance(inputs, Mapping) else "tuple" if isinstance(inputs, tuple) else "tensor"
        save_file(tensors, str(self.path / "example.safetensors"), metadata={"kind": kind})

    def example_inputs(self) -> Any:
        """The inputs that were kept, in the form in which the models are called.

        Raises:
            RunError: if there are none.
        """
        file = self.path / "example.safetensors"
        if not file.is_file():
            raise RunError(f"There are no example inputs in '{self.path}'. Give the folder of a run that was begun.")
        with safe_open(str(file), framework="pt") as opened:
            kind = (opened.metadata() or {}).get("kind", "tensor")
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        if kind == "dict":
            return tensors
        ordered = tuple(tensors[name] for name in sorted(tensors, key=int))
        return ordered if kind == "tuple" else ordered[0]

    def save_student(self, student: nn.Module) -> Path:
        """Write the student's weights, whole or not at all."""
        temporary = self.path / ".student.safetensors.new"
        save_model(student, str(temporary))
        temporary.replace(self.path / "student.safetensors")
        return self.path / "student.safetensors"

    @property
    def student_file(self) -> Path:
        """The weights of a finished run.

        Raises:
            RunError: if the run is not finished.
        """
        file = self.path / "student.safetensors"
        if not file.is_file():
            raise RunError(f"The run in '{self.path}' has no student yet. Finish it: resume=True (--resume).")
        return file


def state_bytes(module: nn.Module) -> int:
    """Bytes of a module's parameters and buffers."""
    return sum(each.numel() * each.element_size() for each in module.state_dict().values() if torch.is_tensor(each))


def next_free(path: Path) -> Path:
    """The path with the first number behind its name that nothing has yet."""
    numbers = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(each for each in numbers if not each.exists())
