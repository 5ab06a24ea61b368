"""A component named in a recipe or plan: its kind and its options, resolved to a class."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from limbeck.errors import RecipeError, nearest

_GIVEN_BY_THE_PLAN = {"link", "groups", "shares"}
_FAMILIES = {
    "losses": "a loss of features, which stands under 'features' in a recipe and under 'terms' in a plan",
    "outputs": "an output loss, which stands under 'outputs'",
    "projectors": "a projector, which stands under 'projector'",
    "targets": "a target, which stands under 'targets'",
    "associations": "an association, which stands under 'association'",
    "balancers": "a balancer, which stands under 'balancer'",
    "schedules": "a schedule, which stands under 'schedule'",
    "mapping": "a mapping, which stands under 'mapping'",
    "similarity": "a similarity, which stands under 'similarity'",
}


class Part(BaseModel):
    """One component by name, such as ``{kind: SoftLabels, temperature: 4}``, or its kind alone, such as ``CKA``.

    ``kind`` is a name in the catalogue of its family (``limbeck.losses.__all__`` and so on), or
    ``"package.module:Class"`` for a class of your own, whose module you must have imported.

    Example:
        >>> import limbeck.outputs
        >>> Part(kind="SoftLabels", temperature=2.0).build(limbeck.outputs)
        SoftLabels(temperature=2.0)
        >>> Part(kind="StandardisedLogits", loss={"kind": "DKD", "beta": 2}).build(limbeck.outputs)
        StandardisedLogits(loss=DKD(alpha=1.0, beta=2.0, temperature=4.0))
        >>> Part.model_validate("CKA")
        Part(kind='CKA')
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str

    if TYPE_CHECKING:

        def __init__(self, *, kind: str, **options: Any) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _of_its_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """Everything but the kind."""
        return {key: _plain(value) for key, value in (self.model_extra or {}).items()}

    def plain(self) -> dict[str, Any]:
        """The part as it stands in YAML."""
        return {"kind": self.kind, **(self.model_extra or {})}

    def resolve(self, family: ModuleType) -> type:
        """The class.

        Raises:
            RecipeError: if the family has no such class (names the nearest ones), or a class of your own is in a module
                that is not imported or does not keep the family's contract.
        """
        if ":" in self.kind:
            return _own_class(self.kind, family)
        if self.kind not in family.__all__ or inspect.isabstract(getattr(family, self.kind)):
            raise RecipeError(_not_in(self.kind, family))
        return getattr(family, self.kind)

    def build(self, family: ModuleType, *arguments: Any, method: str = "__init__", **more: Any) -> Any:
        """An instance: the class called with ``arguments`` and the options (or its ``method`` so called).

        Raises:
            RecipeError: if an option is not known or its value is refused.
        """
        cls = self.resolve(family)
        make = cls if method == "__init__" else getattr(cls, method)
        known = _options_of(make)
        contract = family.__all__[-1]
        options = self.options
        for option, value in options.items():
            if option not in known:
                found = nearest(option, known) if known else "It has none."
                raise RecipeError(f"{self.kind} has no option '{option}'. {found}")
            # YAML reads 4 as a whole number where a fraction is meant.
            if isinstance(value, int) and known[option].annotation in {"float", float, "float | None"}:
                options[option] = float(value)
            if isinstance(value, Part | dict | str) and contract in str(known[option].annotation):
                options[option] = _inner(option, value).build(family)
        try:
            return make(*arguments, **options, **more)
        except TypeError as error:
            raise RecipeError(f"{self.kind} does not take {self.options}: {error}.") from error

    def __str__(self) -> str:
        """Kind and options, as a call."""
        options = {key: _inner(key, each) if _is_part(each) else each for key, each in self.options.items()}
        return f"{self.kind}({', '.join(f'{key}={value}' for key, value in options.items())})"


def _options_of(make: Any) -> dict[str, inspect.Parameter]:
    """What can be said by name, without what the plan itself gives."""
    by_name = {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    parameters = inspect.signature(make).parameters.items()
    return {name: each for name, each in parameters if each.kind in by_name and name not in _GIVEN_BY_THE_PLAN}


def _is_part(value: Any) -> bool:
    return isinstance(value, dict) and "kind" in value


def _inner(option: str, value: Part | dict[str, Any] | str) -> Part:
    """A component that is an option of another, such as the loss inside of ``StandardisedLogits``."""
    try:
        return Part.model_validate(value)
    except ValidationError as error:
        raise RecipeError(
            f"'{option}' needs a kind and its options, such as {option}: {{kind: SoftLabels}}. Found {value}."
        ) from error


def _plain(value: Any) -> Any:
    return tuple(_plain(each) for each in value) if isinstance(value, list) else value


def _not_in(kind: str, family: ModuleType) -> str:
    """What to say of a kind that is in another family, or in none."""
    name = family.__name__.rpartition(".")[2]
    for other, what in _FAMILIES.items():
        if other != name and kind in importlib.import_module(f"limbeck.{other}").__all__:
            return f"'{kind}' is {what}. Found it in the place of {_FAMILIES.get(name, 'another part')}."
    known = [each for each in family.__all__ if not inspect.isabstract(getattr(family, each))]
    return (
        f"'{kind}' is not in limbeck.{name}. {nearest(kind, known)} 'limbeck methods' lists all; a class of your own "
        "is named 'package.module:Class'."
    )


def _own_class(name: str, family: ModuleType) -> type:
    """A class of the user's, from a module that is imported already.

    A recipe or plan may come from anywhere, so naming a module in it imports nothing, and only a class that keeps the
    family's contract is ever called with its options.
    """
    module_name, _, class_name = name.partition(":")
    contract = next(each for each in (getattr(family, name) for name in family.__all__) if inspect.isabstract(each))
    if module_name not in sys.modules:
        raise RecipeError(
            f"'{name}' is in a module that is not imported, and a recipe imports none. If you trust it, write 'import "
            f"{module_name}' in your program, or --import {module_name} on the command line."
        )
    found = getattr(sys.modules[module_name], class_name, None)
    if not (isinstance(found, type) and issubclass(found, contract)):
        raise RecipeError(f"'{name}' must be a subclass of {contract.__name__}. Found {found!r}.")
    return found
