"""The plan: a recipe resolved for one pair of models, with a reason for everything that was chosen."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from limbeck.choice import Choice
from limbeck.errors import RecipeError
from limbeck.links import FeatureSpec
from limbeck.planning.committees import CommitteePlan
from limbeck.planning.term_plan import TermPlan
from limbeck.recipe.part import Part
from limbeck.recipe.recipe import OutputTerm, Recipe, Start, explain, read_yaml
from limbeck.recipe.settings import Settings
from limbeck.whole_file import write_text


class Costs(BaseModel):
    """What a plan is expected to cost.

    Attributes:
        projector_parameters: numbers learnt beside the student, thrown away afterwards.
        student_seconds: forward and backward of the student alone on the measured samples.
        distill_seconds: the same with the teacher and all terms.
        feature_bytes: captured features of both models, per sample.
        samples: how many samples the times were measured on.
        cache_bytes: what a view of a sample would take in a cache of the teacher with float16; 0 if none is needed.
        data_samples: how many samples the training data have, those held out included; ``None`` if that is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    projector_parameters: int
    student_seconds: float
    distill_seconds: float
    feature_bytes: int
    samples: int
    cache_bytes: int = 0
    data_samples: int | None = None

    def __str__(self) -> str:
        """One line."""
        ratio = self.distill_seconds / max(self.student_seconds, 1e-9)
        return (
            f"{self.projector_parameters:,} extra parameters while training; a step takes {ratio:.2f} times the "
            f"student's own (measured on {self.samples} samples: {1e3 * self.distill_seconds:.0f} ms against "
            f"{1e3 * self.student_seconds:.0f} ms); {self.feature_bytes / 1e6:.2f} MB of features a sample"
            + self._cache
        )

    @property
    def _cache(self) -> str:
        """How large a cache would be."""
        if not self.cache_bytes:
            return ""
        size = f"{_said(self.cache_bytes)} for each view of a sample"
        if self.data_samples is not None:
            size += f", {_said(self.cache_bytes * self.data_samples)} for one of all {self.data_samples:,}"
        return f"; a cache of the teacher (float16) would take {size}"


class Plan(BaseModel):
    """Which sites are linked, through what, by which losses, how they are weighed and trained; plain data.

    Print it, save it, edit the file by hand, load it again. See :func:`limbeck.plan` for how one is made.

    Attributes:
        version: of this format.
        recipe: what it was made from; re-planning starts there.
        teacher: name of the teacher.
        student: name of the student.
        committee: the members of several teachers; ``None`` for a single one.
        start: with which layers of the teacher the student starts.
        teacher_sites: what is known of the sites used.
        student_sites: likewise.
        terms: feature terms.
        outputs: output losses.
        next_token: whether the label of a position is what the student is to answer one position before, as in causal
            language models whose labels are their inputs.
        association: says in every step how much each link counts; ``None`` where all count alike.
        balancer: weighs the terms.
        schedule: how the weights move.
        training: how the student is trained.
        costs: what it is expected to cost.
        choices: every automatic decision with its reason.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    recipe: Recipe
    teacher: str
    student: str
    committee: CommitteePlan | None = None
    terms: tuple[TermPlan, ...]
    outputs: tuple[OutputTerm, ...]
    next_token: bool = False
    association: Part | None = None
    balancer: Part
    schedule: Part
    training: Settings
    start: Start = "as-given"
    teacher_sites: tuple[FeatureSpec, ...]
    student_sites: tuple[FeatureSpec, ...]
    costs: Costs | None = None
    choices: tuple[Choice, ...] = ()

    def save(self, path: Path | str) -> None:
        """Write the plan as YAML, whole or not at all.

        Raises:
            RunError: if the file cannot be written.
        """
        write_text(path, self.to_yaml())

    def to_yaml(self) -> str:
        """The plan as YAML, in the order in which it is read."""
        content = self.model_dump(mode="json", exclude_none=True)
        content["terms"] = [_compact(term) for term in content["terms"]]
        return yaml.safe_dump(content, sort_keys=False, width=118, default_flow_style=None, allow_unicode=True)

    @classmethod
    def load(cls, path: Path | str) -> Plan:
        """Read a plan from a YAML file; nothing in it is run.

        Raises:
            RecipeError: if there is no such file, or a key or value is not known; names the nearest keys.
        """
        content = read_yaml(Path(path))
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise RecipeError(explain(error, cls, str(path))) from error

    def with_training(self, **settings: Any) -> Plan:
        """The same plan with other training settings, those that are ``None`` left out."""
        given = {key: value for key, value in settings.items() if value is not None}
        return self.model_copy(update={"training": self.training.model_copy(update=given)})

    def with_choices(self, *choices: Choice) -> Plan:
        """The same plan with more decisions; a newer one takes the place of an older one of its name."""
        names = {choice.name for choice in choices}
        kept = tuple(choice for choice in self.choices if choice.name not in names)
        return self.model_copy(update={"choices": kept + choices})

    def choice(self, name: str) -> Choice | None:
        """The decision of that name; ``None`` if there is none."""
        return next((each for each in self.choices if each.name == name), None)

    def spec(self, side: Literal["student", "teacher"], site: str) -> FeatureSpec | None:
        """What the plan knows of a site."""
        specs = self.student_sites if side == "student" else self.teacher_sites
        return next((each for each in specs if each.site == site), None)

    def __rich__(self) -> Group:
        """Tables for a terminal."""
        links = Table("student", "teacher", "loss", "projector", "targets", "reason", title="Features (Loss 1)")
        for term in self.terms:
            links.add_row(
                _site(self.spec("student", term.student), term.student),
                _site(self.spec("teacher", term.teacher), term.teacher),
                term.comparison,
                "-" if term.projector is None else str(term.projector),
                ", ".join(map(str, term.targets)) or "-",
                term.reason,
            )
        outputs = Table("loss", "share", title="Outputs (Loss 2)")
        for output in self.outputs:
            outputs.add_row(str(output.loss), f"{output.share:g}")
        choices = Table("choice", "value", "reason", title="Choices")
        for choice in self.choices:
            numbers = ", ".join(f"{name}: {number}" for name, number in choice.candidates.items())
            choices.add_row(choice.name, str(choice.value), choice.reason + (f" ({numbers})" if numbers else ""))
        head = Text(f"Plan: {self.teacher} teaches {self.student} (recipe '{self.recipe.name}')", style="bold")
        joined = f"Association: {self.association}, balance" if self.association else "Balance"
        weigh = Text(f"{joined}: {self.balancer}, schedule: {self.schedule}")
        shown = [head, *([links] if self.terms else []), *([outputs] if self.outputs else []), weigh, choices]
        return Group(*shown, *([Text(f"Costs: {self.costs}")] if self.costs else []))

    def __repr__(self) -> str:
        """The tables as text."""
        console = Console(file=io.StringIO(), width=160, force_terminal=False)
        console.print(self)
        return console.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]

    def __str__(self) -> str:
        """The tables as text."""
        return repr(self)

    def _repr_html_(self) -> str:
        """The tables for a notebook."""
        console = Console(file=io.StringIO(), width=160, record=True)
        console.print(self)
        return console.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def _said(count: int) -> str:
    """A number of bytes with three figures."""
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


def _site(spec: FeatureSpec | None, site: str) -> str:
    if spec is None:
        return site
    shape = "x".join(map(str, spec.grid)) if spec.grid else (str(spec.positions) if spec.positions > 1 else "")
    return f"{site} [{spec.channels}{' @ ' + shape if shape else ''}]"


def _compact(term: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in term.items() if value not in ([], "")}
