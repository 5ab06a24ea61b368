"""What a command is asked to do: two models, data and a recipe, from flags and perhaps a file."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from limbeck.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

    from limbeck.recipe import Recipe
    from limbeck.sources import Data

_JOB_KEYS = (
    "teacher", "student", "data", "teacher_weights", "student_weights", "teacher_options", "student_options",
    "data_options", "batch_size",
)  # fmt: skip
_PUBLISHED = ("timm", "torchvision")


@dataclass(frozen=True)
class Job:
    """Models and data by name, and the recipe.

    A job file is a recipe with the names in it: keys ``teacher``, ``student``, ``data`` and so on beside the recipe's
    own; ``recipe: NAME`` takes a shipped one as the base that the other keys change.
    """

    teacher: str
    student: str
    data: str
    recipe: Recipe
    teacher_weights: str | None = None
    student_weights: str | None = None
    teacher_options: dict[str, Any] = field(default_factory=dict)
    student_options: dict[str, Any] = field(default_factory=dict)
    data_options: dict[str, Any] = field(default_factory=dict)
    batch_size: int | None = None

    @classmethod
    def read(cls, file: Path | None, *, recipe: str | None = None, **flags: Any) -> Job:
        """Join a job file and the flags, which win.

        Raises:
            RecipeError: if a model or the data is missing, or a key is not known.
        """
        from limbeck.recipe import Recipe, read_yaml

        content = read_yaml(file) if file is not None else {}
        named = {key: content.pop(key) for key in _JOB_KEYS if key in content}
        base = recipe or content.pop("recipe", None)
        content.pop("recipe", None)
        if base is not None and content:
            content = {**Recipe.load(base).model_dump(mode="json", exclude_none=True), **content}
        source: Any = content or base or "auto"
        if file is not None and isinstance(source, dict):
            source = {"name": file.stem, **source}
        for key, value in flags.items():
            if value is not None:
                options = key.endswith("_options")
                named[key] = {**named.get(key, {}), **parse_options(value)} if options else value
        for key in ("teacher", "student", "data"):
            if not isinstance(named.get(key), str):
                raise RecipeError(
                    f"A distillation needs a teacher, a student and data. Found no {key}. Give --{key}, or '{key}:' in "
                    "the job file."
                )
        return cls(recipe=Recipe.load(source), **named)

    def load_data(self, seed: int = 0) -> Data:
        """The loaders."""
        from limbeck.sources import load_data

        return load_data(self.data, batch_size=self.batch_size, seed=seed, options=self.data_options)

    def load_models(self, data: Data) -> tuple[nn.Module, nn.Module]:
        """Teacher and student, with as many classes and input channels as the data has, where that was not said.

        The student is built from seed 0, so that the same command trains the same student.
        """
        import torch

        from limbeck.sources import load_model

        teacher_options = self.teacher_options
        if self.teacher_weights != "pretrained":
            teacher_options = _fitted(self.teacher, self.teacher_options, data)
        torch.manual_seed(0)
        teacher = load_model(self.teacher, weights=self.teacher_weights, options=teacher_options)
        torch.manual_seed(0)
        student = load_model(
            self.student, weights=self.student_weights, options=_fitted(self.student, self.student_options, data)
        )
        return teacher, student

    def sources(self, data: Data) -> dict[str, Any]:
        """Facts for ``run.json``: what was named, and how :func:`limbeck.load` builds the student again."""
        named = {key: getattr(self, key) for key in _JOB_KEYS if getattr(self, key)}
        options = _fitted(self.student, self.student_options, data)
        return {"job": named, "student_source": self.student, "student_options": options}


def parse_options(pairs: list[str] | dict[str, Any]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` pairs; the value as YAML reads it.

    Raises:
        RecipeError: if there is no ``=`` in one.

    Example:
        >>> parse_options(["num_classes=10", "global_pool=avg"])
        {'num_classes': 10, 'global_pool': 'avg'}
    """
    if isinstance(pairs, dict):
        return pairs
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise RecipeError(f"An option is written KEY=VALUE. Found '{pair}'.")
        options[key.strip()] = yaml.safe_load(value)
    return options


def import_all(modules: list[str] | None) -> None:
    """Import what the user names, from here or from what is installed.

    Raises:
        RecipeError: if there is no such module.
    """
    if modules and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    for name in modules or []:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise RecipeError(
                f"--import {name} failed: {error}. Install it, or run limbeck from its folder."
            ) from error


def _fitted(model: str, given: dict[str, Any], data: Data) -> dict[str, Any]:
    """Builder arguments that follow from the data for a published model: classes, and channels of images not RGB."""
    library = model.partition(":")[0]
    options: dict[str, Any] = {}
    if library in _PUBLISHED and data.classes is not None:
        options["num_classes"] = data.classes
    batch = next(iter(data.train), None)
    images = batch[0] if isinstance(batch, tuple | list) and batch else batch
    shape = tuple(getattr(images, "shape", ()))
    # torchvision's builders have no argument for the input's channels.
    if library == "timm" and len(shape) == 4 and shape[1] != 3:
        options["in_chans"] = shape[1]
    return {**options, **given}
