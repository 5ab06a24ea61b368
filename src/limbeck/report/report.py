"""What came of a distillation, and what it is worth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from limbeck.planning.plan import Plan
from limbeck.planning.task import Kind
from limbeck.search.race import Standing
from limbeck.training.evaluation import Evaluation
from limbeck.training.history import History


@dataclass(frozen=True)
class Report:
    """The result of :func:`limbeck.distill`.

    Attributes:
        student: the trained student, the module that was given.
        plan: what was done, with the reasons.
        history: how it went.
        evaluation: the best look at validation, whose weights the student has; ``None`` without validation data.
        teacher_score: the teacher's metric on the same validation data, where it can be measured.
        before: similarity (unbiased CKA) of every linked student site to every linked teacher site before training.
        after: the same after it.
        seconds: of the whole run, planning and search included.
        run_dir: the folder that was written, or ``None``.
        metric: name of what validation measured.
        comparisons: recipes without features that could be used on the same task.
        standings: of all that trained side by side, the default's first; empty if it trained alone.
    """

    student: nn.Module
    plan: Plan
    history: History
    evaluation: Evaluation | None
    teacher_score: float | None = None
    before: Sequence[Sequence[float]] = ()
    after: Sequence[Sequence[float]] = ()
    seconds: float = 0.0
    run_dir: str | None = None
    metric: str = "metric"
    comparisons: Sequence[str] = ()
    standings: Sequence[Standing] = ()

    @property
    def verdict(self) -> str:
        """What the numbers say, in a few sentences."""
        said = []
        if self.evaluation is not None:
            teacher = "" if self.teacher_score is None else f", the teacher's {self.teacher_score:.4f}"
            judged = f"judged on {self.evaluation.samples} answers"
            said.append(f"on validation, {self.metric} is {self.evaluation.metric:.4f}{teacher} ({judged})")
        else:
            said.append("no validation data: the student has the weights of the last step")
        said += self._links()
        said += self._unread_labels()
        if self.standings:
            said.append(self._raced())
        if self.plan.terms and self.comparisons and not any(each.chance is not None for each in self.standings):
            recipes = " and with ".join(f"recipe='{name}'" for name in self.comparisons)
            said.append(f"to see whether the features helped, train the same student with {recipes}")
        return ". ".join(each[0].upper() + each[1:] for each in said) + "."

    def _raced(self) -> str:
        shown = [
            f"'{each.name}' {'diverged' if each.evaluation is None else f'{each.evaluation.metric:.4f}'}"
            for each in self.standings
        ]
        said = f"{len(shown)} students were trained side by side ({', '.join(shown)})"
        choice = self.plan.choice("recipe") or self.plan.choice("learning rate")
        return said if choice is None else f"{said}; the result has the {choice.name} {choice.value}: {choice.reason}"

    def _unread_labels(self) -> list[str]:
        task = self.plan.choice("task")
        if task is None or task.value != Kind.UNKNOWN.value or self.plan.outputs:
            return []
        return [f"the labels were not learnt ({task.reason})"]

    def _links(self) -> list[str]:
        if not len(self.history) or not self.plan.terms:
            return []
        last = self.history.rows[-1]["terms"]
        names = [f"{term.student} <- {term.teacher}" for term in self.plan.terms if term.loss.kind == "MSE"]
        unexplained = {name: last[name] for name in names if name in last}
        dead = [name for name, value in unexplained.items() if value >= 0.98]
        said = []
        if unexplained:
            worst, best = max(unexplained.values()), min(unexplained.values())
            said.append(
                f"on the linked features the mean squared error is {best:.2f} to {worst:.2f}, where 1 means that "
                "nothing of the teacher's is explained"
            )
        if dead:
            said.append(f"nothing is explained at {', '.join(dead)}: take these links out of the plan and compare")
        return said

    def to_json(self) -> str:
        """Everything but weights, as JSON."""
        content = {
            "verdict": self.verdict,
            "metric": self.metric,
            "validation": None if self.evaluation is None else self.evaluation._asdict(),
            "teacher": self.teacher_score,
            "parameters": sum(each.numel() for each in self.student.parameters()),
            "steps": self.history.rows[-1]["step"] if len(self.history) else 0,
            "seconds": round(self.seconds, 2),
            "similarity": {
                "student": [spec.site for spec in self.plan.student_sites],
                "teacher": [spec.site for spec in self.plan.teacher_sites],
                "before": [list(row) for row in self.before],
                "after": [list(row) for row in self.after],
            },
            "race": [_standing(each) for each in self.standings],
            "plan": self.plan.model_dump(mode="json"),
        }
        return json.dumps(content, indent=2)

    def to_markdown(self) -> str:
        """The report for people."""
        plan = self.plan
        lines = [f"# {plan.teacher} teaches {plan.student}", "", self.verdict, ""]
        lines += markdown_table(
            ["what", "value"],
            [
                ["student parameters", f"{sum(each.numel() for each in self.student.parameters()):,}"],
                ["steps", self.history.rows[-1]["step"] if len(self.history) else 0],
                ["seconds, planning and search included", f"{self.seconds:.1f}"],
                ["expected cost", plan.costs or "not measured"],
            ],
        )
        lines += self._replanned()
        lines += self._race()
        rows = [_choice(each) for each in plan.choices]
        lines += ["## Choices", "", *markdown_table(["choice", "value", "reason"], rows)]
        if plan.terms:
            rows = [[term.student, term.teacher, term.loss, term.projector or "-", term.reason] for term in plan.terms]
            lines += ["## Features", "", *markdown_table(["student", "teacher", "loss", "projector", "reason"], rows)]
        rows = [[output.loss, f"{output.share:g}"] for output in plan.outputs]
        lines += ["## Outputs", "", *markdown_table(["loss", "share"], rows)]
        if len(self.before) and len(self.after):
            lines += ["## Similarity of linked sites", "", "Unbiased linear CKA, before -> after.", ""]
            lines += self._similarity()
        lines += ["## How it went", "", *self._history()]
        return "\n".join(lines) + "\n"

    def _race(self) -> list[str]:
        if not self.standings:
            return []
        head = ["recipe", f"validation {self.metric}", "rate", "chance to be better than the default's best"]
        rows = [
            [
                each.name,
                "diverged" if each.evaluation is None else f"{each.evaluation.metric:.4f}",
                each.rate,
                "-" if each.chance is None else f"{each.chance:.2f}",
            ]
            for each in self.standings
        ]
        return ["## Race", "", *markdown_table(head, rows)]

    def _replanned(self) -> list[str]:
        replanned = self.plan.choice("re-planned")
        changes = [] if replanned is None else replanned.value
        return ["## Planned anew", "", "```diff", *changes, "```", ""] if changes else []

    def _similarity(self) -> list[str]:
        rows = [
            [spec.site, *(f"{was:.2f} -> {now:.2f}" for was, now in zip(before, after, strict=True))]
            for spec, before, after in zip(self.plan.student_sites, self.before, self.after, strict=True)
        ]
        return markdown_table(["", *(spec.site for spec in self.plan.teacher_sites)], rows)

    def _history(self) -> list[str]:
        rows = list(self.history)
        shown = rows[:: max(1, len(rows) // 10)]
        shown += [] if not rows or shown[-1] is rows[-1] else [rows[-1]]
        cells = [
            [
                row["step"],
                f"{row['loss']:.4f}",
                "" if "validation" not in row else f"{row['validation']:.4f}",
                f"{row['lr']:.2g}",
            ]
            for row in shown
        ]
        return markdown_table(["step", "loss", f"validation {self.metric}", "rate"], cells)

    def __repr__(self) -> str:
        """The verdict."""
        return f"Report({self.verdict})"

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def _standing(standing: Standing) -> dict[str, Any]:
    found = standing.evaluation
    return {**standing._asdict(), "evaluation": None if found is None else found._asdict()}


def _choice(choice: Any) -> list[Any]:
    numbers = ", ".join(f"{name}: {number}" for name, number in choice.candidates.items())
    return [choice.name, choice.value, choice.reason + (f" ({numbers})" if numbers else "")]


def markdown_table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of a table in Markdown, and an empty one behind it.

    Example:
        >>> markdown_table(["site", "loss"], [["layer1", 0.5]])
        ['| site | loss |', '| --- | --- |', '| layer1 | 0.5 |', '']
    """
    shown = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in shown] + [""]
