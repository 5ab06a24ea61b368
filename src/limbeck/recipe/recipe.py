"""A recipe: how to distil, without the names of any layer."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limbeck.errors import RecipeError, nearest
from limbeck.recipe.part import Part
from limbeck.recipe.settings import Settings

Auto = Literal["auto"]
Start = Literal["as-given", "spread", "first", "last"]
# Kinds of output losses that a plan fills in with those of the task: of its labels, of the teacher's answers.
LABELS, TEACHER = "labels", "teacher"


class FeatureTerm(BaseModel):
    """What is done on every link of the mapping.

    Attributes:
        loss: compares the projected student with the target.
        projector: ``auto`` puts one in where the loss needs it; ``none`` never does.
        targets: what the teacher's feature is turned into, one after the other; ``auto`` pools to the common grid and
            standardises.
        both: what either side passes through right before the loss, one after the other, such as ``PoolVector`` or
            ``Centre``; nothing if not given: the published form of the loss.
        share: weight of this loss within the features.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss: Part = Part(kind="MSE")
    # The two words first, as any other one is a kind.
    projector: Literal["auto", "none"] | Part = Field(default="auto", union_mode="left_to_right")
    targets: tuple[Part, ...] | Auto = "auto"
    both: tuple[Part, ...] = ()
    share: float = Field(default=1.0, gt=0)


class OutputTerm(BaseModel):
    """An output loss and its weight within the outputs.

    Attributes:
        loss: what it is; of kind ``labels`` or ``teacher`` in a recipe, the plan has the loss that the task learns its
            labels or the teacher's answers with, such as ``CrossEntropy`` and ``SoftLabels`` for one class for each
            sample.
        share: weight of this loss within the outputs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss: Part
    share: float = Field(default=1.0, gt=0)


class Recipe(BaseModel):
    """Kinds without sites; resolved for one pair of models, it becomes a plan.

    Attributes:
        version: of this format.
        name: how reports call it.
        summary: one sentence for ``limbeck recipes``.
        task: what it is meant for, in words; empty for any task.
        start: with which layers of the teacher the student starts, of more than it has those ``spread`` over the depth,
            the ``first`` or the ``last``; see :func:`limbeck.copy_layers`. With its own weights if not given.
        mapping: chooses the links.
        similarity: what a mapper that needs scores measures.
        features: losses on every link; empty for none.
        association: says in every step how much each link counts; all alike if not given.
        outputs: losses on the logits; ``auto`` chooses by the number of labels and by whether the classes agree.
        balancer: weighs the terms.
        average_links: whether Loss 1 is the mean over the links instead of their sum.
        schedule: how the weights move during training.
        training: optimizer, length, rate.
        reasons: a sentence for any of the keys above, shown in the plan.

    Example:
        >>> Recipe.load("article").balancer
        Part(kind='Fixed', feature=0.8, output=0.2)
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    name: str = "my recipe"
    summary: str = ""
    task: str = ""
    start: Start = "as-given"
    mapping: Part = Part(kind="SameDepth")
    similarity: Part = Part(kind="MinibatchCKA")
    features: tuple[FeatureTerm, ...] = (FeatureTerm(),)
    association: Part | None = None
    outputs: tuple[OutputTerm, ...] | Auto = "auto"
    balancer: Part = Part(kind="Fixed", feature=10.0, output=1.0)
    average_links: bool = False
    schedule: Part = Part(kind="Constant")
    training: Settings = Settings()
    reasons: dict[str, str] = Field(default_factory=dict)

    def reason(self, key: str) -> str:
        """Why the recipe says what it says under a key."""
        return self.reasons.get(key, f"as recipe '{self.name}' says")

    @classmethod
    def load(cls, source: str | Path | dict[str, Any] | Recipe) -> Recipe:
        """A recipe by the name of a shipped one, from a YAML file, or from its content.

        Raises:
            RecipeError: if there is none, or a key is not known; names the nearest ones.
        """
        if isinstance(source, Recipe):
            return source
        if isinstance(source, dict):
            return cls._checked(source, "the recipe")
        if not isinstance(source, str | Path):
            raise RecipeError(
                f"A recipe is the name of a shipped one, the path of a YAML file, or its content. Found {source!r}."
            )
        path = Path(source)
        if path.suffix not in {".yaml", ".yml"}:
            path = SHIPPED / f"{source}.yaml"
            if not path.is_file():
                raise RecipeError(
                    f"There is no recipe '{source}'. {nearest(str(source), shipped_recipes())} "
                    "A recipe of your own is a path that ends in .yaml."
                )
        content = read_yaml(path)
        return cls._checked({"name": path.stem, **content}, str(path.name))

    @classmethod
    def _checked(cls, content: dict[str, Any], where: str) -> Recipe:
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise RecipeError(explain(error, cls, where)) from error


SHIPPED = Path(__file__).parent / "recipes"


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with limbeck."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def known_start(start: str) -> Start:
    """The start of a student that is so called.

    Raises:
        RecipeError: if there is none.
    """
    known = {each: each for each in get_args(Start)}
    if start not in known:
        raise RecipeError(f"A student starts in one of these ways: {', '.join(known)}. Found start={start!r}.")
    return known[start]


def read_yaml(path: Path) -> dict[str, Any]:
    """The content of a YAML file, read without running anything in it.

    Raises:
        RecipeError: if there is no such file, or it is no mapping of keys to values.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RecipeError(f"There is no file '{path}'. Give the path of a .yaml file.") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"'{path}' could not be read as YAML: {error}.") from error
    if not isinstance(content, dict):
        raise RecipeError(f"'{path}' must hold keys and values. Found {type(content).__name__}.")
    return content


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """One sentence for the first thing that is wrong, with the nearest known keys where a key is unknown."""
    # An unknown key first: where one is misspelt, the right one is missing too.
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    place = _place(first["loc"])
    if first["type"] == "extra_forbidden":
        *path, key = first["loc"]
        place = f"{_place(tuple(path))}.{key}".removeprefix(".")
        return f"{where}: '{place}' is not a known key. {nearest(str(key), _keys(model, tuple(path)))}"
    found = reprlib.repr(first.get("input"))
    # Of what may be one thing or another, each says why it is not that.
    said = dict.fromkeys(_said(each["msg"]) for each in error.errors() if _place(each["loc"]) == place)
    return f"{where}: '{place}' {', or '.join(said)}. Found {found}."


def _place(path: tuple[int | str, ...]) -> str:
    """Where something is, without the names by which pydantic tells types apart, as ``constrained-float``."""
    types = {"float", "int", "str", "bool"}
    keys = [each for each in path if isinstance(each, int) or (each.isidentifier() and each.islower())]
    return ".".join(str(each) for each in keys if each not in types)


def _said(message: str) -> str:
    return (
        (message[0].lower() + message[1:])
        .replace("valid tuple", "list")
        .replace("valid dictionary or instance of Part", "kind with its options")
    )


def _keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Known keys at a place inside of a model."""
    for step in path:
        field = model.model_fields.get(str(step))
        inner = [each for each in _types(field.annotation) if isinstance(each, type)] if field else []
        model = next((each for each in inner if issubclass(each, BaseModel)), model)
    return list(model.model_fields)


def _types(annotation: Any) -> list[Any]:
    parts = get_args(annotation)
    return [annotation] if not parts else [found for each in parts for found in _types(each)]
