"""The folder that a run writes: what it was, how it went, what came of it."""

from __future__ import annotations

import itertools
import json
import pickle
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from limbeck.errors import RunError
from limbeck.whole_file import whole_file, write_text

_EXTRA = "student-extra.pt"


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
        self._made = False

    @classmethod
    def create(cls, path: Path | str, *, needed_bytes: int, resume: bool = False) -> RunFolder:
        """Make the folder, or open it again to resume.

        Raises:
            RunError: if there is a run in it already, none to resume or a finished one, there is not enough disk, or it
                cannot be written.
        """
        run = cls(path)
        run._check_earlier(resume=resume)
        run._made = not run.path.exists()
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(run.path).free
        except OSError as error:
            raise RunError(f"'{path}' cannot be written: {error.strerror}. Give another run_dir.") from error
        if free < needed_bytes:
            raise RunError(
                f"The run needs about {needed_bytes / 1e6:.0f} MB of disk for weights and checkpoints. Found "
                f"{free / 1e6:.0f} MB free at '{path}'. Free some, or give another run_dir."
            )
        return run

    def leave(self) -> None:
        """Take the folder away again if it was made here and nothing was written to it."""
        if self._made and self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    @property
    def exists(self) -> bool:
        """Whether there is a run in the folder."""
        return (self.path / "run.json").is_file()

    @property
    def finished(self) -> bool:
        """Whether the run came to its end, as it recorded itself."""
        return self.description.get("state") == "finished"

    def _check_earlier(self, *, resume: bool) -> None:
        path = self.path
        if not self.exists:
            if resume:
                raise RunError(
                    f"There is no run to resume in '{path}' (no run.json). Give the folder of a run that was begun, or "
                    "leave resume=True (--resume) out to begin one."
                )
            if (path / "student.safetensors").exists():
                raise RunError(
                    f"A run needs a folder of its own. Found a student.safetensors in '{path}' of no run (no "
                    "run.json). Give another run_dir (--run-dir)."
                )
            return
        other = f"give another run_dir (--run-dir) for a new run, such as '{next_free(path)}'"
        if self.finished:
            nothing = ": there is nothing to resume" if resume else ""
            source = self.description.get("student_source")
            named = "module" if source is None else repr(source)
            raise RunError(
                f"The earlier run in '{path}' is finished{nothing}. Load its student with limbeck.load('{path}', "
                f"student={named}), or {other}."
            )
        if not resume:
            raise RunError(
                f"'{path}' holds an earlier run, which is not finished. Go on with it by resume=True (--resume), or "
                f"{other}."
            )

    @property
    def description(self) -> dict[str, Any]:
        """What ``run.json`` says.

        Raises:
            RunError: if there is no run in the folder, or the file is damaged.
        """
        file = self.path / "run.json"
        if not self.exists:
            raise RunError(f"There is no run in '{self.path}' (no run.json). Give the folder of a run.")
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"'{file}' is damaged: {error}. Start the run anew in another folder.") from error
        if not isinstance(found, dict):
            raise RunError(f"'{file}' is damaged: it holds no facts. Start the run anew in another folder.")
        return found

    def describe(self, **facts: Any) -> None:
        """Add facts to ``run.json``."""
        known = self.description if self.exists else {}
        self.write("run.json", json.dumps({**known, **facts}, indent=2) + "\n")

    def write(self, name: str, text: str) -> None:
        """Write a text file, whole or not at all."""
        write_text(self.path / name, text)

    @property
    def checkpoint(self) -> Path:
        """Where the state of an unfinished training lies."""
        return self.path / "checkpoint"

    def racing(self, recipe: str) -> Path:
        """The folder of a recipe that takes part in a race."""
        place = self.path / "race" / re.sub(r"[^\w.-]", "_", recipe)
        place.mkdir(parents=True, exist_ok=True)
        return place

    @property
    def raced(self) -> list[Path]:
        """The plans of all that take part in a race that was begun, the default's first."""
        names = self.description.get("race", []) if self.exists else []
        return [self.racing(name) / "plan.yaml" for name in names]

    def save_example(self, inputs: Any) -> None:
        """Keep a few inputs, so that an export can be checked on real ones."""
        named = (
            inputs
            if isinstance(inputs, Mapping)
            else dict(enumerate(inputs if isinstance(inputs, tuple) else [inputs]))
        )
        tensors = {str(name): value.cpu().contiguous() for name, value in named.items() if torch.is_tensor(value)}
        kind = "dict" if isinstance(inputs, Mapping) else "tuple" if isinstance(inputs, tuple) else "tensor"
        with whole_file(self.path / "example.safetensors") as place:
            save_file(tensors, str(place), metadata={"kind": kind})

    def example_inputs(self) -> Any:
        """The inputs that were kept, in the form in which the models are called.

        Raises:
            RunError: if there are none, or the file is damaged.
        """
        file = self.path / "example.safetensors"
        if not file.is_file():
            raise RunError(f"There are no example inputs in '{self.path}'. Give the folder of a run that was begun.")
        try:
            with safe_open(str(file), framework="pt") as opened:
                kind = (opened.metadata() or {}).get("kind", "tensor")
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        except SafetensorError as error:
            raise RunError(f"'{file}' is damaged: {error}. Run the distillation again in another folder.") from error
        if kind == "dict":
            return tensors
        ordered = tuple(tensors[name] for name in sorted(tensors, key=int))
        return ordered if kind == "tuple" else ordered[0]

    def save_student(self, student: nn.Module) -> Path:
        """Write the student's weights, whole or not at all, and beside them what it keeps that is no tensor."""
        file, state = self.path / "student.safetensors", student.state_dict()
        extra = {name: value for name, value in state.items() if not torch.is_tensor(value)}
        if extra:
            with whole_file(self.path / _EXTRA) as place:
                torch.save(extra, place)
        with whole_file(file) as place:
            save_file(_each_once(state), str(place))
        return file

    def restore_extra(self, student: nn.Module) -> None:
        """Give the student what was kept beside its weights (``get_extra_state``), read without running code.

        Raises:
            RunError: if the file is damaged, or holds more than numbers, texts and containers of them.
        """
        file = self.path / _EXTRA
        if not file.is_file():
            return
        try:
            student.load_state_dict(torch.load(file, weights_only=True), strict=False)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise RunError(
                f"'{file}' must hold what the student's get_extra_state gave. It cannot be read without running code, "
                f"or is damaged: {error}. Give get_extra_state plain numbers, texts, lists and dicts."
            ) from error

    @property
    def student_file(self) -> Path:
        """The weights of a finished run.

        Raises:
            RunError: if the run is not finished.
        """
        file = self.path / "student.safetensors"
        if not file.is_file() or not self.finished:
            raise RunError(f"The run in '{self.path}' has no student yet. Finish it: resume=True (--resume).")
        return file


def _each_once(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Every tensor of a state dict under the first of its names: tied weights are written once."""
    known: dict[Any, str] = {}
    for name, value in state.items():
        if torch.is_tensor(value):
            known.setdefault((value.data_ptr(), value.shape, value.stride()) if value.numel() else name, name)
    return {name: state[name].detach().cpu().clone().contiguous() for name in known.values()}


def state_bytes(module: nn.Module) -> int:
    """Bytes of a module's parameters and buffers."""
    return sum(each.numel() * each.element_size() for each in module.state_dict().values() if torch.is_tensor(each))


def next_free(path: Path) -> Path:
    """The path with the first number behind its name that nothing has yet."""
    numbers = (path.with_name(f"{path.name}-{number}") for number in itertools.count(2))
    return next(each for each in numbers if not each.exists())
