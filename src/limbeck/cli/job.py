"""What a command is asked to do: two models, data, a recipe and how to run it, from flags and perhaps a file."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limbeck.cli.several import joined, listed, member_names, weights_of
from limbeck.errors import RecipeError, nearest
from limbeck.recipe.recipe import Recipe, Start, explain, read_yaml
from limbeck.recipe.settings import LENGTHS, Settings

if TYPE_CHECKING:
    from torch import nn

    from limbeck.options import Options
    from limbeck.planning.caching import CacheSettings
    from limbeck.sources import Data

_NAMES = (
    "teacher", "student", "data", "teacher_weights", "student_weights", "teacher_options", "student_options",
    "teacher_drop", "data_options", "batch_size", "teacher_normalisation",
)  # fmt: skip
_SETTINGS = ("steps", "epochs", "lr", "seed", "precision")
_PUBLISHED = ("timm", "torchvision")


class Job(BaseModel):
    """Models and data by name, the recipe, and how to run it.

    A job file is a recipe with the flags of ``limbeck distill`` as keys beside the recipe's own, hyphens or
    underscores: ``teacher``, ``student``, ``data``, ``steps``, ``run_dir`` and so on. ``recipe: NAME`` takes a shipped
    recipe as the base that the recipe's keys change. Paths are those of the folder that the command runs in.

    Attributes:
        teacher: name of a model, or of several.
        student: name of a model.
        data: name of the data.
        recipe: how to distil; ``None`` if nothing was said.
        modules: to import first; the key is ``import``.
        search: whether to search for the rate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)

    teacher: str | list[str]
    student: str
    data: str
    recipe: Recipe | None = None
    teacher_weights: str | list[str] | None = None
    teacher_drop: float | None = Field(default=None, ge=0, le=1)
    teacher_normalisation: Literal["auto", "published", "data"] = "auto"
    student_weights: str | None = None
    teacher_options: dict[str, Any] = Field(default_factory=dict)
    student_options: dict[str, Any] = Field(default_factory=dict)
    data_options: dict[str, Any] = Field(default_factory=dict)
    batch_size: int | None = Field(default=None, gt=0)
    modules: list[str] = Field(default_factory=list, alias="import")
    plan: Path | None = None
    replan: bool = False
    start: Start | None = None
    steps: int | None = Field(default=None, gt=0)
    epochs: int | None = Field(default=None, gt=0)
    lr: float | Literal["auto"] | None = None
    seed: int | None = Field(default=None, ge=0)
    precision: str | None = None
    metric: str = "auto"
    device: str | None = None
    cache: str | None = None
    cache_encoding: str | None = None
    cache_views: int | None = Field(default=None, gt=0)
    cache_top_k: int | None = Field(default=None, gt=0)
    run_dir: Path | None = None
    resume: bool = False
    search: bool = True
    check_teacher: bool = True
    tracker: str | list[str] = "auto"

    @classmethod
    def read(cls, file: Path | None, flags: Mapping[str, Any]) -> Job:
        """Join a job file and the flags, which win; what the job names to import is imported.

        Raises:
            RecipeError: if a model or the data is missing, or a key or value is not known.
        """
        where = "the flags" if file is None else str(file)
        said = {} if file is None else _normalised(read_yaml(file), where)
        for key, value in flags.items():
            if value is not None:
                said[key] = {**_options(said.get(key), key), **value} if isinstance(value, dict) else value
                if key in LENGTHS and flags.get(LENGTHS[key]) is None:
                    said.pop(LENGTHS[key], None)
        parts = {key: said.pop(key) for key in list(said) if key in Recipe.model_fields and key not in cls.model_fields}
        base = said.pop("recipe", None)
        if parts or base is not None:
            said["recipe"] = _recipe(base, parts, None if file is None else file.stem)
        for key in ("teacher", "student", "data"):
            several = key == "teacher" and bool(said.get(key)) and isinstance(said[key], list)
            if not isinstance(said.get(key), str) and not several:
                raise RecipeError(
                    f"A distillation needs a teacher, a student and data. Found no {key}. Give --{key}, or '{key}:' in "
                    "the job file."
                )
        try:
            job = cls.model_validate(said)
        except ValidationError as error:
            raise RecipeError(explain(error, cls, where)) from error
        _import(job.modules)
        return job

    @property
    def settings(self) -> dict[str, Any]:
        """What was said of the training, ``None`` for what was not."""
        return {key: getattr(self, key) for key in _SETTINGS}

    @property
    def cache_settings(self) -> CacheSettings | None:
        """Where and how the teacher is cached, if it is."""
        from limbeck.planning.caching import CacheSettings

        how = (self.cache_encoding, self.cache_views, self.cache_top_k)
        return None if self.cache is None else CacheSettings(self.cache, *how)

    @property
    def planned_recipe(self) -> Recipe:
        """The recipe to plan with, and in it what was said of the training."""
        recipe = Recipe.load("auto") if self.recipe is None else self.recipe
        said = {key: value for key, value in self.settings.items() if value is not None}
        try:
            training = recipe.training.given(**said)
        except ValidationError as error:
            raise RecipeError(explain(error, Settings, "the training settings")) from error
        return recipe.model_copy(update={"training": training, "start": self.start or recipe.start})

    def options(self, **more: Any) -> Options:
        """What was said of the distillation, for the pipeline; with what only some commands say."""
        from limbeck.options import Options
        from limbeck.planning import Plan

        return Options(
            recipe=self.recipe,
            plan=None if self.plan is None else Plan.load(self.plan),
            start=self.start,
            settings=self.settings,
            cache=self.cache_settings,
            device=self.device,
            replan=self.replan,
            **more,
        )

    def load_data(self) -> Data:
        """The loaders."""
        from limbeck.sources import load_data

        return load_data(self.data, batch_size=self.batch_size, seed=self.seed or 0, options=self.data_options)

    def load_models(self, data: Data) -> tuple[nn.Module, nn.Module]:
        """Teacher and student, with as many classes and input channels as the data has, where that was not said.

        The student is built from seed 0, so that the same command trains the same student.
        """
        import torch

        from limbeck.sources import as_trained, load_model

        built: dict[str, nn.Module] = {}
        weights = weights_of(self.teacher, self.teacher_weights)
        for called, name, of_it in zip(member_names(self.teacher), listed(self.teacher), weights, strict=True):
            options = self._teacher_options(name, of_it, data)
            torch.manual_seed(0)
            built[called] = as_trained(
                load_model(name, weights=of_it, options=options), name, weights=of_it, options=options,
                data=data.normalisation, asked=self.teacher_normalisation,
            )  # fmt: skip
        teacher = joined(built, self.teacher_drop)
        torch.manual_seed(0)
        student = load_model(
            self.student, weights=self.student_weights, options=_fitted(self.student, self.student_options, data)
        )
        return teacher, student

    @property
    def names(self) -> tuple[str, str]:
        """Student and teacher as they were named, for people."""
        return self.student, " + ".join(listed(self.teacher))

    def sources(self, data: Data) -> dict[str, Any]:
        """Facts for ``run.json``: what was named, and how student and teachers are built again."""
        named = {key: getattr(self, key) for key in _NAMES if getattr(self, key)}
        options = _fitted(self.student, self.student_options, data)
        teachers = zip(listed(self.teacher), weights_of(self.teacher, self.teacher_weights), strict=True)
        built = [{"source": name, "options": self._teacher_options(name, each, data)} for name, each in teachers]
        return {"job": named, "student_source": self.student, "student_options": options, "teachers": built}

    def _teacher_options(self, name: str, weights: str | None, data: Data) -> dict[str, Any]:
        """Builder arguments of a teacher; one with published weights keeps its classes and channels."""
        return self.teacher_options if weights == "pretrained" else _fitted(name, self.teacher_options, data)


def parse_options(pairs: list[str] | None) -> dict[str, Any] | None:
    """Read ``KEY=VALUE`` pairs, the value as YAML reads it; ``None`` for none.

    Raises:
        RecipeError: if there is no ``=`` in one, or the value is no YAML.

    Example:
        >>> parse_options(["num_classes=10", "global_pool=avg"])
        {'num_classes': 10, 'global_pool': 'avg'}
    """
    if not pairs:
        return None
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise RecipeError(f"An option is written KEY=VALUE. Found '{pair}'.")
        try:
            options[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise RecipeError(f"The value of an option is read as YAML. Found '{pair}'. Quote the value.") from error
    return options


def _import(modules: Sequence[str]) -> None:
    """Import what the user names, from here or from what is installed."""
    if modules and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise RecipeError(
                f"--import {name} failed: {error}. Install it, or run limbeck from its folder."
            ) from error


def _normalised(content: dict[str, Any], where: str) -> dict[str, Any]:
    """The content with its keys as fields are called: options in the plural, underscores."""
    jobs = [field.alias or name for name, field in Job.model_fields.items()]
    plural = {key.removesuffix("s"): key for key in jobs if key.endswith("_options")}
    found = {}
    for key, value in content.items():
        name = str(key).replace("-", "_")
        name = plural.get(name, name)
        if name not in jobs and name not in Recipe.model_fields:
            raise RecipeError(
                f"{where}: '{key}' is not a known key. {nearest(name, [*jobs, *Recipe.model_fields])} A job has "
                f"{', '.join(jobs)}; of a recipe it has {', '.join(Recipe.model_fields)}."
            )
        found[name] = value
    return found


def _options(found: Any, key: str) -> dict[str, Any]:
    if not isinstance(found, dict | None):
        raise RecipeError(f"'{key}' in the job file must hold keys and values. Found {found!r}. Write {{KEY: VALUE}}.")
    return found or {}


def _recipe(base: Any, parts: dict[str, Any], name: str | None) -> Recipe:
    """The recipe called ``base`` with ``parts`` in place of its own; of the training only what is said."""
    if base is None:
        return Recipe.load({"name": name, **parts})
    recipe = Recipe.load(base)
    if not parts:
        return recipe
    training = parts.pop("training", {})
    if not isinstance(training, dict):
        raise RecipeError(f"'training' in the job file must hold keys and values. Found {training!r}.")
    # A reason of the base's stands for what is the base's only.
    reasons = {key: reason for key, reason in recipe.reasons.items() if key not in parts}
    kept = recipe.model_dump(mode="json", exclude_none=True)
    changed = Recipe.load({**kept, "name": name, "reasons": reasons, **parts})
    try:
        return changed.model_copy(update={"training": changed.training.given(**training)})
    except ValidationError as error:
        raise RecipeError(explain(error, Settings, "training in the job file")) from error


def _fitted(model: str, given: dict[str, Any], data: Data) -> dict[str, Any]:
    """Builder arguments that follow from the data for a published model: classes, and channels of images not RGB."""
    from limbeck.training.reading import read

    library = model.partition(":")[0]
    options: dict[str, Any] = {}
    if library in _PUBLISHED and data.classes is not None:
        options["num_classes"] = data.classes
    batch = next(read(data.train), None)
    images = batch[0] if isinstance(batch, tuple | list) and batch else batch
    shape = tuple(getattr(images, "shape", ()))
    # torchvision's builders have no argument for the input's channels.
    if library == "timm" and len(shape) == 4 and shape[1] != 3:
        options["in_chans"] = shape[1]
    return {**options, **given}
