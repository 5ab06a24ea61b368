"""One method of the catalogue, described by what its class declares and says of itself."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from limbeck.associations.family import Association
from limbeck.balancers.family import Balancer
from limbeck.catalogue.sizes import learnt, multiplications
from limbeck.links import Match
from limbeck.losses.family import FeatureLoss
from limbeck.mapping.family import Mapper
from limbeck.outputs.family import OutputLoss
from limbeck.projectors.family import Projector
from limbeck.targets.family import Target

_MATCHES = {Match.CHANNELS: "equal channels", Match.POSITIONS: "equal positions", Match.GRID: "one grid"}
_REQUIRED = {
    "attention": "sites that hold queries and keys",
    "keys": "sample keys",
    "targets": "labels",
    "teacher_output": "the teacher's logits",
    "student_loss": "the student's own loss",
    "student_head": "a linear head of the student",
    "teacher_head": "a linear head of the teacher",
}
_FORMULA = re.compile(r"\$\$\s*(.+?)\s*\$\$", re.DOTALL)
_ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
_LINK = re.compile(r"https://[^\s,)]+")


@dataclass(frozen=True)
class Method:
    """What is known of one class.

    Attributes:
        family: package of limbeck that it belongs to.
        name: of the class, and in recipes.
        summary: first sentence of its docstring.
        paper: address of its source; empty where it is our own choice.
        formula: LaTeX, as in the docstring; empty if there is none.
        needs: what must be there, in words.
        options: parameters with their defaults, as written.
        text: the docstring.
        cls: the class itself.
    """

    family: str
    name: str
    summary: str
    paper: str
    formula: str
    needs: tuple[str, ...]
    options: tuple[str, ...]
    text: str
    cls: type

    @cached_property
    def parameters(self) -> int | None:
        """How many numbers it learns between the two sites of :mod:`limbeck.catalogue.sizes`.

        ``None`` where the question has no meaning.
        """
        return learnt(self.cls)

    @cached_property
    def multiplications(self) -> float | None:
        """In its matrix products for one batch between these sites, in millions; likewise."""
        return multiplications(self.cls)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the class and its docstring, as plain data."""
        facts = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in {"text", "cls"}}
        return {**facts, "parameters": self.parameters, "multiplications": self.multiplications}


def describe(family: str, cls: type) -> Method:
    """Read a class."""
    text = _ROLE.sub(r"\1", inspect.getdoc(cls) or "")
    link, formula = _LINK.search(text), _FORMULA.search(text)
    return Method(
        family=family,
        name=cls.__name__,
        summary=text.partition("\n\n")[0].replace("\n", " "),
        paper=link.group().rstrip(".:;") if link else "",
        formula=" ".join(formula.group(1).split()) if formula else "",
        needs=tuple(_needs(cls)),
        options=tuple(_options(cls)),
        text=text,
        cls=cls,
    )


def _needs(cls: type) -> list[str]:
    found: list[str] = []
    if issubclass(cls, FeatureLoss):
        found += [word for match, word in _MATCHES.items() if match in cls.needs]
    if issubclass(cls, FeatureLoss | OutputLoss | Target):
        found += [_REQUIRED[part] for part in sorted(cls.requires)]
    if issubclass(cls, Projector) and cls.needs_grid:
        found.append("a target on a grid")
    if issubclass(cls, FeatureLoss | OutputLoss | Association | Target):
        found += [f"at least {cls.minimum_batch} samples in a batch"] if cls.minimum_batch > 1 else []
    if issubclass(cls, FeatureLoss) and cls.needs_raw_target:
        found.append("a target in the teacher's own units")
    if issubclass(cls, Association) and cls.needs_samples:
        found.append("a loss with a value for each sample")
    if issubclass(cls, Mapper) and cls.needs_scores:
        found.append("similarities of all sites")
    if issubclass(cls, Balancer):
        found += ["losses of at least 0"] if cls.needs_non_negative else []
        steps = "step" if cls.measure_every == 1 else f"{cls.measure_every} steps"
        found += [f"gradient norms at the taps, every {steps}"] if cls.measure_every else []
    return found


def _options(cls: type) -> list[str]:
    make = cls.for_link if "for_link" in vars(cls) else cls.for_links if "for_links" in vars(cls) else cls
    return [
        f"{name}={getattr(each.default, '__name__', repr(each.default))}"
        for name, each in inspect.signature(make).parameters.items()
        if each.default is not inspect.Parameter.empty and each.kind is not inspect.Parameter.POSITIONAL_ONLY
    ]
